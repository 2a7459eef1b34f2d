//! The end of a run: scores on fresh prompts, plots, the report.

use std::path::Path;

use looped_config::Experiment;
use looped_core::{Baseline, Stretch, Watch};
use looped_eval::{EvalPlan, Evaluation, MODEL_EMA, PromptScores, score_prompts, state_change};
use looped_train::{At as _, RunDir, Trainer, write_atomically};

use crate::events::Events;
use crate::name::refuse_bad_name;
use crate::{Result, StudyError, run_report};

/// Evaluates a finished training as its experiment says, and leaves `eval.json`, `scores.safetensors`, plots and report in
/// its directory, and the last scores among its TensorBoard events.
///
/// # Errors
/// If the model can't be scored, a file can't be written, or `watch` wants to stop; what was done can be done again.
pub fn finish(trainer: &Trainer, run: &RunDir, watch: &dyn Watch) -> Result<Evaluation> {
    let experiment = trainer.experiment();
    let (evaluation, scores) = score(trainer, &plan_of(experiment), &experiment.evaluation.baselines, watch)?;
    keep(&evaluation, &scores, &run.evaluation(), &run.scores())?;
    Events::open(run.path(), trainer.steps_done())?.evaluated(trainer.steps_done(), &evaluation)?;
    run_report::write(experiment, run)?;
    Ok(evaluation)
}

/// Leaves an evaluation as `evals/NAME.json` in a run's directory, with the scores of its prompts beside it.
///
/// # Errors
/// If the name isn't one for a file, or a file can't be written.
pub fn save_evaluation(
    evaluation: &Evaluation,
    scores: &PromptScores,
    run: &RunDir,
    name: &str,
) -> Result<()> {
    refuse_bad_name(name, "an evaluation")?;
    let folder = run.path().join("evals");
    std::fs::create_dir_all(&folder).at("create", &folder)?;
    let file = |ending: &str| folder.join(format!("{name}.{ending}"));
    keep(evaluation, scores, &file("json"), &file("safetensors"))
}

/// The scores come first: no crash leaves an evaluation that lacks them.
fn keep(evaluation: &Evaluation, scores: &PromptScores, file: &Path, scores_file: &Path) -> Result<()> {
    write_atomically(scores_file, &scores.encode().map_err(StudyError::Encode)?)?;
    write_atomically(file, serde_json::to_string_pretty(evaluation)?.as_bytes())?;
    Ok(())
}

/// What an experiment's `[evaluation]` table asks for: the curriculum's last sizes, on so many prompts of such a seed.
#[must_use]
pub fn plan_of(experiment: &Experiment) -> EvalPlan {
    let (config, curriculum) = (&experiment.evaluation, &experiment.training.curriculum);
    let loops = config.loops.unwrap_or(experiment.training.usual_loops());
    let sizes = EvalPlan::new(
        curriculum.points.end,
        curriculum.dims.end,
        experiment.model.n_dims,
        loops,
        config.seed,
    );
    EvalPlan { prompts: config.prompts, ..sizes }
}

/// Scores the model beside baselines, prompt by prompt, and sees whether its state converges.
///
/// Averaged weights have a curve of their own, `model_ema`. All else is of the weights as the last step left them.
///
/// # Errors
/// If the plan can't work, two baselines have one name, predicting or fitting fails, or `watch` wants to stop.
pub fn score(
    trainer: &Trainer,
    plan: &EvalPlan,
    baselines: &[Box<dyn Baseline>],
    watch: &dyn Watch,
) -> Result<(Evaluation, PromptScores)> {
    let (model, task) = (trainer.model(), trainer.experiment().task.as_ref());
    let (evaluation, scores) = match trainer.averaged() {
        None => score_prompts(model, task, plan, baselines, watch)?,
        Some(averaged) => {
            let total = 2 * plan.prompts;
            let stretch = |before| Stretch { whole: watch, before, total };
            let (mut evaluation, mut scores) = score_prompts(model, task, plan, baselines, &stretch(0))?;
            let (own, of_own) = score_prompts(averaged, task, plan, &[], &stretch(plan.prompts))?;
            // Of a model alone, its curve is the first.
            let curve = own.curves.0.into_iter().take(1).map(|(_, curve)| (MODEL_EMA.to_owned(), curve));
            evaluation.curves.0.splice(1..1, curve);
            let of = of_own.curves.into_iter().take(1).map(|(_, of)| (MODEL_EMA.to_owned(), of));
            scores.curves.splice(1..1, of);
            (evaluation, scores)
        }
    };
    let state_change = state_change(model, task, plan, watch)?;
    Ok((Evaluation { state_change: Some(state_change), ..evaluation }, scores))
}
