//! The end of a run: scores on fresh prompts, plots, the report.

use looped_core::Baseline;
use looped_eval::{EvalPlan, Evaluation, evaluate, state_change};
use looped_train::{RunDir, Trainer, write_atomically};

use crate::failure::{Failure, Outcome};
use crate::run_report;

/// Evaluates a finished training and leaves `eval.json`, plots and report; prints the directory and the table.
pub(crate) fn finish(trainer: &Trainer, run: &RunDir) -> Outcome {
    let baselines = &trainer.experiment().evaluation.baselines;
    let evaluation = score(trainer, &plan_of(trainer), baselines)?;
    let json = serde_json::to_string_pretty(&evaluation).map_err(Failure::failed)?;
    write_atomically(&run.evaluation(), json.as_bytes())?;
    run_report::write(trainer.experiment(), run)?;
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

/// Scores the model beside baselines, and sees whether its state settles.
pub(crate) fn score(
    trainer: &Trainer,
    plan: &EvalPlan,
    baselines: &[Box<dyn Baseline>],
) -> Outcome<Evaluation> {
    let (model, task) = (trainer.model(), trainer.experiment().task.as_ref());
    let evaluation = evaluate(model, task, plan, baselines)?;
    let device = model.parameters().device();
    let state_change = state_change(model.looped(), device, task, plan)?;
    Ok(Evaluation { state_change: Some(state_change), ..evaluation })
}
