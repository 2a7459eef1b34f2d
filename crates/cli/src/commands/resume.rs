//! `looped resume`: on from the newest good checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use looped_config::{Difference, Engine, Experiment};
use looped_eval::Evaluation;
use looped_train::{Metrics, Opened, Provenance, RunDir, Session, Trainer};

use crate::args::ResumeArgs;
use crate::build::build;
use crate::commands::run::{finish_or_stop, open_device, train_to_the_end};
use crate::failure::{Failure, Outcome};
use crate::output::{answer, shown};

pub(crate) fn resume(args: &ResumeArgs) -> Outcome {
    let run = RunDir::open(&args.run)?;
    let (mut experiment, mut changed) = run.experiment(&args.overrides)?;
    let device = open_device(&args.device.device)?;
    changed.extend(fit(&mut experiment, &device));
    let trainer = restored(&run, Arc::new(experiment), &device)?;
    refuse_fewer_steps(&trainer)?;

    let again = changed.iter().any(|change| change.key.starts_with("evaluation."));
    if trainer.is_done() && !again && is_evaluated(&run) {
        eprintln!("all {} steps of this run are done, and evaluated", trainer.steps_done());
        let evaluation: Option<serde_json::Value> =
            std::fs::read(run.evaluation()).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let found = serde_json::json!({ "run": shown(run.path()), "evaluation": evaluation });
        return answer(args.json, &found, || run.path().display().to_string());
    }
    // Only what is trained longer has an evaluation of fewer steps: one of a run whose last checkpoint is damaged is its own.
    let longer = changed.iter().any(|change| change.key == "training.train_steps");
    if longer && !trainer.is_done() {
        set_evaluation_aside(&run, trainer.steps_done())?;
    }
    take_up(&run, &trainer, changed)?;
    if trainer.is_done() {
        return finish_or_stop(&trainer, &run, args.json);
    }
    train_to_the_end(trainer, &run, args.json)
}

/// The model of a run at its newest good checkpoint, only to be looked at.
///
/// # Errors
/// Also if there is no checkpoint yet: an untrained model's numbers would pass for the run's.
pub(crate) fn open_trained(path: &Path, device_name: &str) -> Outcome<Trainer> {
    let opened = Opened::newest(path, &open_device(device_name)?)?;
    tell_damaged(&opened.damaged, &opened.from, &opened.trainer);
    Ok(opened.trainer)
}

/// A run of the fused engine that is resumed on a GPU takes another engine from there on.
fn fit(experiment: &mut Experiment, device: &Device) -> Option<Difference> {
    if experiment.training.engine != Engine::Fused || device.is_cpu() {
        return None;
    }
    experiment.training.engine = Engine::Auto;
    let value = |text: &str| Some(text.into());
    Some(Difference { key: "training.engine".to_owned(), from: value("fused"), to: value("auto") })
}

/// The trainer of a run at its newest good checkpoint, or at step 0 if it was stopped before its first.
fn restored(run: &RunDir, experiment: Arc<Experiment>, device: &Device) -> Outcome<Trainer> {
    let checkpoints = run.checkpoints();
    if !checkpoints.exist()? {
        refuse_lost_checkpoints(run, &experiment)?;
        eprintln!("note: this run has no checkpoint yet; it begins again at step 0, to the same bits");
        return Ok(Trainer::new(experiment, device)?);
    }
    let (checkpoint, place, bad) = checkpoints.newest_good()?;
    let trainer = Trainer::resumed(experiment, device, &checkpoint)?;
    tell_damaged(&bad, &place, &trainer);
    Ok(trainer)
}

fn tell_damaged(damaged: &[looped_train::TrainError], used: &Path, trainer: &Trainer) {
    for error in damaged {
        eprintln!("warning: {error}");
    }
    if !damaged.is_empty() {
        eprintln!("warning: using {} (step {})", used.display(), trainer.steps_done());
    }
}

/// A run that has logged steps beyond its first checkpoint had one. Training it from step 0 would replace what is left.
fn refuse_lost_checkpoints(run: &RunDir, experiment: &Experiment) -> Outcome {
    let logged = Metrics::read(&run.metrics())?.last().map_or(0, |record| record.step);
    if logged < experiment.training.save_every_steps {
        return Ok(());
    }
    let path = run.path().display();
    Err(Failure::failed(format!(
        "{path}/checkpoints: is not there, and {path}/metrics.jsonl tells of {} steps: put the checkpoints back \
         (a copy that left them out? a disk that isn't mounted?), or begin a new run",
        logged + 1
    )))
}

fn refuse_fewer_steps(trainer: &Trainer) -> Outcome {
    let (done, wanted) = (trainer.steps_done(), trainer.experiment().training.train_steps);
    if wanted >= done {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "training.train_steps: is {wanted}, and {done} steps are done; allowed: {done} or more"
    )))
}

/// Whether nothing is left to be done after the last step.
fn is_evaluated(run: &RunDir) -> bool {
    let Ok(text) = std::fs::read(run.evaluation()) else { return false };
    match serde_json::from_slice::<Evaluation>(&text) {
        Ok(_) => run.report().exists(),
        Err(error) => {
            eprintln!("warning: {}: {error}; evaluating again", run.evaluation().display());
            false
        }
    }
}

/// Keeps what was found after fewer steps, as `evals/step_XXXXXXX.json`: a run with steps to do has no result yet.
fn set_evaluation_aside(run: &RunDir, steps: usize) -> Outcome {
    let Ok(text) = std::fs::read(run.evaluation()) else { return Ok(()) };
    let folder = run.path().join("evals");
    let kept = folder.join(format!("step_{steps:07}.json"));
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::failed(format!("{}: cannot create: {error}", folder.display())))?;
    if let Ok(scores) = std::fs::read(run.scores()) {
        looped_train::write_atomically(&kept.with_extension("safetensors"), &scores)?;
    }
    looped_train::write_atomically(&kept, &text)?;
    let gone = |path: PathBuf| match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::failed(format!("{}: cannot remove: {error}", path.display())))
        }
        _ => Ok(()),
    };
    gone(run.evaluation())?;
    gone(run.scores())?;
    eprintln!("note: the evaluation after {steps} steps is kept as {}", kept.display());
    Ok(())
}

/// Makes the run this session's: its config, `run.json`, and a save that was cut short.
fn take_up(run: &RunDir, trainer: &Trainer, changed: Vec<Difference>) -> Outcome {
    let experiment = trainer.experiment();
    let session =
        Session { changed, ..Session::now(trainer, build(), trainer.model().engine_choice().why.clone()) };
    let earlier = Provenance::read(run.path())?.and_then(|provenance| provenance.sessions.last().cloned());
    if let Some(other) =
        earlier.map(|earlier| session.other_bits_than(&earlier)).filter(|other| !other.is_empty())
    {
        eprintln!(
            "note: this session differs from the one before: {}. The results can differ in their last bits from those \
             of a run that was never stopped",
            other.join(", ")
        );
    }
    for change in &session.changed {
        eprintln!("note: {change}");
    }
    let rewritten = !session.changed.is_empty();
    Provenance::begin(run.path(), experiment, session)?;
    if rewritten {
        run.rewrite_config(experiment)?;
    }
    Ok(run.checkpoints().settle(experiment.training.save_every_steps)?)
}
