//! The end of a run: scores on fresh prompts, plots, the report.

use looped_eval::{EvalPlan, Evaluation, MODEL, evaluate};
use looped_report::plot::{Band, Curve, Figure, Marker, Scale};
use looped_report::report::{Part, Report, Section};
use looped_train::{Metrics, Record, RunDir, Trainer, write_atomically};

use crate::failure::{Failure, Outcome};

/// Evaluates a finished training and leaves `eval.json`, plots and report; prints the directory and the table.
pub(crate) fn finish(trainer: &Trainer, run: &RunDir) -> Outcome {
    let evaluation = score(trainer, &plan_of(trainer))?;
    let json = serde_json::to_string_pretty(&evaluation).map_err(Failure::failed)?;
    write_atomically(&run.evaluation(), json.as_bytes())?;
    let metrics = Metrics::read(&run.metrics())?;
    report(trainer, &evaluation, &metrics)?.write(run.path()).map_err(Failure::failed)?;
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

fn report(trainer: &Trainer, evaluation: &Evaluation, metrics: &[Record]) -> Outcome<Report> {
    let trained = trainer.experiment().training.curriculum.loops.end;
    let plot = |name: &str, figure, caption: String| Part::Plot { name: name.to_owned(), figure, caption };
    let prompts = evaluation.prompts;
    let results = Section {
        heading: "Results".to_owned(),
        parts: vec![
            plot(
                "error",
                over_examples(evaluation),
                format!(
                    "Mean over {prompts} fresh prompts after {} loops; 5..95 % interval shaded.",
                    evaluation.loops
                ),
            ),
            plot("loops", over_loops(evaluation, trained), "At the last query, after each loop.".to_owned()),
            Part::Code(evaluation.table()),
        ],
    };
    let training = Section {
        heading: "Training".to_owned(),
        parts: vec![plot(
            "training",
            over_steps(metrics),
            "The loss of each logged batch, and on held-out prompts. It rises where the curriculum does."
                .to_owned(),
        )],
    };
    let config = trainer.experiment().to_toml().map_err(Failure::failed)?;
    let repeat = Section {
        heading: "Repeat".to_owned(),
        parts: vec![Part::Code("looped run config.toml --out again".to_owned()), Part::Code(config)],
    };
    Ok(Report { title: trainer.experiment().name.clone(), sections: vec![results, training, repeat] })
}

/// The losses over the steps.
fn over_steps(metrics: &[Record]) -> Figure {
    let curve = |name: &str, points: Vec<(usize, f64)>| {
        let (x, y) = points.into_iter().map(|(step, loss)| (step as f64, loss)).unzip();
        Curve::model(name, x, Band::line(y))
    };
    let trained = metrics.iter().map(|record| (record.step, record.loss)).collect();
    let held_out = metrics.iter().filter_map(|record| Some((record.step, record.validation_loss?))).collect();
    let curves = vec![curve("batch", trained), curve("held out, last loop", held_out)];
    let y_scale = Scale::for_errors(&curves);
    Figure { y_scale, curves, ..Figure::new("Training", "step", "loss") }
}
