//! The end of a run: scores on fresh prompts, plots, the report.

use looped_config::Experiment;
use looped_core::{Baseline, Watch};
use looped_eval::{EvalPlan, Evaluation, evaluate, state_change};
use looped_train::{RunDir, Trainer, write_atomically};

use crate::{Result, run_report};

/// Evaluates a finished training as its experiment says, and leaves `eval.json`, plots and report in its directory.
///
/// # Errors
/// If the model can't be scored, a file can't be written, or `watch` wants to stop; what was done can be done again.
pub fn finish(trainer: &Trainer, run: &RunDir, watch: &dyn Watch) -> Result<Evaluation> {
    let experiment = trainer.experiment();
    let evaluation = score(trainer, &plan_of(experiment), &experiment.evaluation.baselines, watch)?;
    write_atomically(&run.evaluation(), serde_json::to_string_pretty(&evaluation)?.as_bytes())?;
    run_report::write(experiment, run)?;
    Ok(evaluation)
}

/// What an experiment's `[evaluation]` table asks for: the curriculum's last sizes, on so many prompts of such a seed.
#[must_use]
pub fn plan_of(experiment: &Experiment) -> EvalPlan {
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
///
/// # Errors
/// If the plan can't work, two baselines have one name, predicting or fitting fails, or `watch` wants to stop.
pub fn score(
    trainer: &Trainer,
    plan: &EvalPlan,
    baselines: &[Box<dyn Baseline>],
    watch: &dyn Watch,
) -> Result<Evaluation> {
    let (model, task) = (trainer.model(), trainer.experiment().task.as_ref());
    let evaluation = evaluate(model, task, plan, baselines, watch)?;
    let device = model.parameters().device();
    let state_change = state_change(model.looped(), device, task, plan, watch)?;
    Ok(Evaluation { state_change: Some(state_change), ..evaluation })
}
