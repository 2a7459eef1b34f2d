//! Taking up a run where it stopped: what may change, from which checkpoint, and what its user hears of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use looped_config::{Difference, EngineName, Experiment};
use looped_core::Problems;
use looped_eval::Evaluation;
use looped_train::{
    At as _, Build, Metrics, Provenance, RunDir, Session, Target, TrainError, Trainer, gives_way,
    write_atomically,
};

use crate::{Result, StudyError};

/// A run taken up at its newest good checkpoint.
pub struct Reopened {
    /// Its directory.
    pub run: RunDir,
    /// Its model and optimiser.
    pub trainer: Trainer,
    /// Whether nothing is left to be done: all steps, the evaluation as it is asked for now, and the report.
    pub is_finished: bool,
}

/// Takes up the run in `folder`, with `key=value` changes that leave the steps already done as they are; `tell` hears what
/// its user should know, as lines that begin with `note:` or `warning:`.
///
/// A run that is finished is left as it is. Of another, `run.json` has a new session, and what was found after fewer steps
/// is kept among its `evals/`.
///
/// # Errors
/// If there is no run in `folder`, another process works on it, its config was edited, a change would have changed the steps
/// already done, its task's data were exchanged, no checkpoint is good, or a file can't be written. What is refused is left
/// as it was.
pub fn reopen(
    folder: &Path,
    changes: &[String],
    device: impl Into<Target>,
    build: Build,
    tell: &mut dyn FnMut(String),
) -> Result<Reopened> {
    let (run, device) = (RunDir::open(folder)?, &device.into());
    let (mut experiment, mut changed) = run.experiment(changes)?;
    changed.extend(fit(&mut experiment, device));
    let mut trainer = restored(&run, Arc::new(experiment), device, tell)?;
    refuse_fewer_steps(&trainer)?;

    let evaluates_otherwise = changed.iter().any(|change| change.key.starts_with("evaluation."));
    let is_finished = trainer.is_done() && !evaluates_otherwise && is_evaluated(&run, tell);
    if !is_finished {
        if let Some(problem) = moved_data(folder, trainer.experiment()) {
            return Err(StudyError::Refused(problem));
        }
        // The last that may refuse: from here on files change.
        trainer.refuse_exchanged_data()?;
        // Only what is trained longer has an evaluation of fewer steps: one of a run whose last checkpoint is damaged is
        // its own.
        let longer = changed.iter().any(|change| change.key == "training.train_steps");
        if longer && !trainer.is_done() {
            set_evaluation_aside(&run, trainer.steps_done(), tell)?;
        }
        if evaluates_otherwise {
            // A report is the sign that nothing is left to do.
            remove(&run.report())?;
        }
        tell_missing_metrics(&run, &trainer, tell)?;
        take_up(&run, &trainer, changed, build, tell)?;
    }
    Ok(Reopened { run, trainer, is_finished })
}

/// What is wrong with the data that the task of the run in `folder` reads: they may have moved since it was trained.
#[must_use]
pub fn moved_data(folder: &Path, experiment: &Experiment) -> Option<String> {
    let mut problems = Problems::new();
    experiment.validate_data(&mut problems);
    let problem = problems.found().first()?;
    let (config, key, what) = (folder.join("config.toml"), &problem.path, &problem.message);
    Some(format!("{}: {key}: {what}. If the file has moved, write its new place there", config.display()))
}

/// A run of an engine for the CPU alone that is resumed on a GPU takes another engine from there on.
fn fit(experiment: &mut Experiment, device: &Target) -> Option<Difference> {
    if !gives_way(experiment, device) {
        return None;
    }
    let before = std::mem::take(&mut experiment.training.engine);
    let value = |name: EngineName| Some(String::from(name).into());
    Some(Difference { key: "training.engine".to_owned(), from: value(before), to: value(EngineName::Auto) })
}

/// The trainer of a run at its newest good checkpoint, or at step 0 if it was stopped before its first.
fn restored(
    run: &RunDir,
    experiment: Arc<Experiment>,
    device: &Target,
    tell: &mut dyn FnMut(String),
) -> Result<Trainer> {
    let checkpoints = run.checkpoints();
    if !checkpoints.exist()? {
        refuse_lost_checkpoints(run, &experiment)?;
        tell("note: this run has no checkpoint yet; it begins again at step 0, to the same bits".to_owned());
        return Ok(Trainer::new(experiment, device)?);
    }
    let (checkpoint, place, damaged) = checkpoints.newest_good()?;
    let trainer = Trainer::resumed(experiment, device, &checkpoint)?;
    tell_damaged(&damaged, &place, &trainer, tell);
    Ok(trainer)
}

/// Tells of checkpoints that can't be used, and which one is.
pub fn tell_damaged(damaged: &[TrainError], used: &Path, trainer: &Trainer, tell: &mut dyn FnMut(String)) {
    for error in damaged {
        tell(format!("warning: {error}"));
    }
    if !damaged.is_empty() {
        tell(format!("warning: using {} (step {})", used.display(), trainer.steps_done()));
    }
}

/// A run that has logged steps beyond its first checkpoint had one. Training it from step 0 would replace what is left.
fn refuse_lost_checkpoints(run: &RunDir, experiment: &Experiment) -> Result<()> {
    let logged = Metrics::read(&run.metrics())?.last().map_or(0, |record| record.step);
    if logged < experiment.training.save_every_steps {
        return Ok(());
    }
    let path = run.path().display();
    Err(StudyError::Train(TrainError::Content {
        path: run.path().join("checkpoints"),
        message: format!(
            "is not there, and {path}/metrics.jsonl tells of {} steps: put the checkpoints back \
             (a copy that left them out? a disk that isn't mounted?), or begin a new run",
            logged + 1
        ),
    }))
}

/// Tells of steps that `metrics.jsonl` lacks, because somebody has removed or cut it: the report's curves lack them too.
fn tell_missing_metrics(run: &RunDir, trainer: &Trainer, tell: &mut dyn FnMut(String)) -> Result<()> {
    let training = &trainer.experiment().training;
    let done = trainer.steps_done();
    let next =
        Metrics::read(&run.metrics())?.last().map_or(0, |record| record.step + training.log_every_steps);
    if next < done {
        let metrics = run.metrics();
        tell(format!("note: {} has nothing of the steps {next} to {}", metrics.display(), done - 1));
    }
    Ok(())
}

fn refuse_fewer_steps(trainer: &Trainer) -> Result<()> {
    let (done, wanted) = (trainer.steps_done(), trainer.experiment().training.train_steps);
    if wanted >= done {
        return Ok(());
    }
    Err(StudyError::Refused(format!(
        "training.train_steps: is {wanted}, and {done} steps are done; allowed: {done} or more"
    )))
}

/// Whether nothing is left to be done after the last step.
fn is_evaluated(run: &RunDir, tell: &mut dyn FnMut(String)) -> bool {
    let Ok(text) = fs::read(run.evaluation()) else { return false };
    match serde_json::from_slice::<Evaluation>(&text) {
        Ok(_) => run.report().exists(),
        Err(error) => {
            tell(format!("warning: {}: {error}; evaluating again", run.evaluation().display()));
            false
        }
    }
}

/// Keeps what was found after fewer steps, as `evals/step_XXXXXXX.json`: a run with steps to do has no result yet.
fn set_evaluation_aside(run: &RunDir, steps: usize, tell: &mut dyn FnMut(String)) -> Result<()> {
    let Ok(text) = fs::read(run.evaluation()) else { return Ok(()) };
    let folder = run.path().join("evals");
    let kept = folder.join(format!("step_{steps:07}.json"));
    fs::create_dir_all(&folder).at("create", &folder)?;
    if let Ok(scores) = fs::read(run.scores()) {
        write_atomically(&kept.with_extension("safetensors"), &scores)?;
    }
    write_atomically(&kept, &text)?;
    remove(&run.evaluation())?;
    remove(&run.scores())?;
    tell(format!("note: the evaluation after {steps} steps is kept as {}", kept.display()));
    Ok(())
}

/// Removes a file, if it is there.
fn remove(path: &PathBuf) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => Ok(removed.at("remove", path)?),
    }
}

/// Makes the run this session's: its config, `run.json`, and a save that was cut short.
fn take_up(
    run: &RunDir,
    trainer: &Trainer,
    changed: Vec<Difference>,
    build: Build,
    tell: &mut dyn FnMut(String),
) -> Result<()> {
    let experiment = trainer.experiment();
    let why_not_fused = trainer.model().engine_choice().why.clone();
    let session = Session { changed, ..Session::now(trainer, build, why_not_fused) };
    let earlier = Provenance::read(run.path())?.and_then(|provenance| provenance.sessions.last().cloned());
    let other = earlier.map_or_else(Vec::new, |earlier| session.other_bits_than(&earlier));
    if !other.is_empty() {
        tell(format!(
            "note: this session differs from the one before: {}. The results can differ in their last bits from those \
             of a run that was never stopped",
            other.join(", ")
        ));
    }
    for change in &session.changed {
        tell(format!("note: {change}"));
    }
    let rewritten = !session.changed.is_empty();
    Provenance::begin(run.path(), experiment, session)?;
    if rewritten {
        run.rewrite_config(experiment)?;
    }
    Ok(run.checkpoints().settle(experiment.training.save_every_steps)?)
}
