//! The end of a run: scores on fresh prompts, plots, the report.

use std::fs;
use std::path::Path;

use looped_eval::{EvalPlan, Evaluation, MODEL, evaluate};
use looped_report::plot::{Band, Curve, Figure, Marker, Scale};
use looped_train::{RunDir, Trainer, write_atomically};

use crate::failure::{Failure, Outcome};

/// Pixels in the PNG for each unit of the SVG.
const PNG_SCALE: f32 = 3.0;

/// Evaluates a finished training and leaves `eval.json`, plots and report; prints the directory and the table.
pub(crate) fn finish(trainer: &Trainer, run: &RunDir) -> Outcome {
    let evaluation = score(trainer, &plan_of(trainer))?;
    let json = serde_json::to_string_pretty(&evaluation).map_err(Failure::failed)?;
    write_atomically(&run.evaluation(), json.as_bytes())?;
    let plots = run.plots();
    fs::create_dir_all(&plots)
        .map_err(|error| Failure::failed(format!("{}: cannot create: {error}", plots.display())))?;
    write_figure(&over_examples(&evaluation), &plots, "error")?;
    write_figure(
        &over_loops(&evaluation, trainer.experiment().training.curriculum.loops.end),
        &plots,
        "loops",
    )?;
    println!("{}", run.path().display());
    println!("{}", evaluation.table());
    Ok(())
}

/// Scores the model as the experiment's `[evaluation]` table says.
pub(crate) fn plan_of(trainer: &Trainer) -> EvalPlan {
    let experiment = trainer.experiment();
    let (config, curriculum) = (&experiment.evaluation, &experiment.training.curriculum);
    let loops = config.loops.unwrap_or(curriculum.loops.end);
    let sizes = EvalPlan::new(
        curriculum.points.end,
        curriculum.dims.end,
        experiment.model.n_dims,
        loops,
        config.seed,
    );
    EvalPlan { prompts: config.prompts, ..sizes }
}

/// Scores the model beside the experiment's baselines.
pub(crate) fn score(trainer: &Trainer, plan: &EvalPlan) -> Outcome<Evaluation> {
    let experiment = trainer.experiment();
    Ok(evaluate(trainer.model(), experiment.task.as_ref(), plan, &experiment.evaluation.baselines)?)
}

/// The paper's figure: error over the number of in-context examples, beside the baselines.
fn over_examples(evaluation: &Evaluation) -> Figure {
    let curves = evaluation.curves.iter().map(|(name, curve)| {
        let x = (0..curve.mean.len()).map(|k| k as f64).collect();
        if name == MODEL {
            Curve::model(name, x, band(curve))
        } else {
            Curve::baseline(name.replace('_', " "), x, band(curve))
        }
    });
    let curves: Vec<Curve> = curves.collect();
    let y_scale = Scale::for_errors(&curves);
    Figure {
        y_scale,
        curves,
        ..Figure::new(title(evaluation), "in-context examples", evaluation.score_label())
    }
}

/// Error at the last query over loops, with a mark where training stopped.
fn over_loops(evaluation: &Evaluation, trained: usize) -> Figure {
    let x = (1..=evaluation.loops).map(|l| l as f64).collect();
    let curves = vec![Curve::model(MODEL, x, band(&evaluation.per_loop))];
    let y_scale = Scale::for_errors(&curves);
    let marker = Marker { x: trained as f64, label: "trained loops".to_owned() };
    let markers = if evaluation.loops > trained { vec![marker] } else { vec![] };
    let y_label = format!("{} at the last query", evaluation.score_label());
    Figure { y_scale, curves, markers, ..Figure::new(title(evaluation), "loops", y_label) }
}

fn title(evaluation: &Evaluation) -> String {
    evaluation.task.replace('_', " ")
}

fn band(curve: &looped_eval::Curve) -> Band {
    Band { mean: curve.mean.clone(), low: curve.low.clone(), high: curve.high.clone() }
}

fn write_figure(figure: &Figure, folder: &Path, name: &str) -> Outcome {
    write_atomically(&folder.join(format!("{name}.svg")), figure.svg().as_bytes())?;
    let png = figure.png(PNG_SCALE).map_err(Failure::failed)?;
    Ok(write_atomically(&folder.join(format!("{name}.png")), &png)?)
}
