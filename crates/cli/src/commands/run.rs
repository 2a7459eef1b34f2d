//! `looped run`: from an experiment file to a finished run directory.

use std::path::Path;
use std::sync::Arc;

use looped_config::{Experiment, Loaded};
use looped_study::Tracker;
use looped_train::{
    Chosen, Cost, How, Outcome as Ended, Provenance, Ranks, RunDir, Session, Target, TrainError, Trainer,
    device_and_note, device_for, refuse_what_does_not_fit, resolve, train,
};
use serde_json::json;

use crate::args::{ExperimentArgs, RunArgs};
use crate::build::build;
use crate::failure::{Failure, Outcome};
use crate::output::{answer, shown};
use crate::progress::{Meter, Progress};
use crate::ranks::refuse_unless_together;
use crate::shell::{command_line, resume_by};
use crate::stop::Stop;

pub(crate) fn run(args: &RunArgs, ranks: Option<Ranks>) -> Outcome {
    let mut experiment = load(&args.experiment)?;
    let Chosen { target: device, words } = device_for(&args.device.device, &experiment)?;
    refuse_unless_together(&experiment, &device, ranks.as_ref())?;
    let engine = resolve(&mut experiment, &device)?;
    refuse_what_does_not_fit(
        "this experiment needs",
        Cost::of(&experiment)?.memory,
        &device,
        "training.batch_size, training.n_loop_window, model.n_embd or evaluation.prompts",
    )?;
    let mut trainer = Trainer::new(Arc::new(experiment), &device)?;
    // From the moment there is a run's directory, a signal lets it be saved.
    let stop = Stop::listen()?;
    let run = match &args.out {
        Some(folder) => create(folder, trainer.experiment())?,
        None => create_by_name(&args.runs, trainer.experiment())?,
    };
    tell_engine(&trainer, &words);
    Provenance::begin(run.path(), trainer.experiment(), Session::now(&trainer, build(), engine.why))?;
    if let Some(ranks) = ranks {
        trainer.lead(ranks)?;
    }
    train_to_the_end(trainer, &run, stop, args.output.json)
}

/// The device of that name; tells where `auto` had to take another than it would.
pub(crate) fn open_device(name: &str) -> Outcome<Target> {
    let (device, note) = device_and_note(name)?;
    note.iter().for_each(|note| eprintln!("note: {note}"));
    Ok(device)
}

/// Tells which engine computes on which device, and why these, and what it has no kernels for.
pub(crate) fn tell_engine(trainer: &Trainer, device: &str) {
    let model = trainer.model();
    eprintln!("engine: {}, on {device}", model.engine_choice());
    model.without_kernel().iter().for_each(|operation| eprintln!("note: {operation}"));
}

/// Loads and validates, and tells what was translated.
pub(crate) fn load(args: &ExperimentArgs) -> Outcome<Experiment> {
    let Loaded { experiment, notes } = looped_config::load(&args.experiment, &args.overrides)?;
    notes.iter().for_each(|note| eprintln!("note: {note}"));
    Ok(experiment)
}

/// Makes the run directory with its resolved config.
pub(crate) fn create(folder: &Path, experiment: &Experiment) -> Outcome<RunDir> {
    let config = experiment.to_toml().map_err(Failure::failed)?;
    Ok(RunDir::create(folder, &config)?)
}

/// Makes `NAME` in the folder of runs, or the first of `NAME-2`, `NAME-3`, ... that is free.
fn create_by_name(runs: &Path, experiment: &Experiment) -> Outcome<RunDir> {
    let folder = |suffix: String| runs.join(format!("{}{suffix}", experiment.name));
    let suffixes = std::iter::once(String::new()).chain((2..).map(|n| format!("-{n}")));
    for folder in suffixes.map(folder).filter(|folder| folder.symlink_metadata().is_err()) {
        match create(&folder, experiment) {
            // Another process was quicker.
            Err(Failure::Usage(_)) if folder.exists() => {}
            made => return made,
        }
    }
    Err(Failure::usage(format!("{}: is full", runs.display())))
}

/// Trains, shows progress, and evaluates at the end.
pub(crate) fn train_to_the_end(mut trainer: Trainer, run: &RunDir, stop: Stop, as_json: bool) -> Outcome {
    let total = trainer.experiment().training.train_steps;
    let tracker = Tracker::follow(run.path());
    let mut progress = Progress::new(run, &tracker, trainer.steps_done(), total, stop)?;
    let ended = train(&mut trainer, run, &mut progress);
    drop(progress);
    match ended {
        Ok(Ended::Finished) => finish_or_stop(&trainer, run, tracker, as_json),
        Ok(Ended::Stopped) => {
            eprintln!(
                "stopped after {} steps and saved; resume by `{}`",
                trainer.steps_done(),
                resume_by(run.path())
            );
            ended_by(run, &trainer, tracker, How::Stopped, None);
            Err(Failure::Stopped)
        }
        Err(error) => {
            let how = if matches!(error, TrainError::NonFinite { .. }) { How::Diverged } else { How::Failed };
            ended_by(run, &trainer, tracker, how, Some(&error.to_string()));
            let advice = if how == How::Diverged { another_try(run) } else { String::new() };
            Err(Failure::failed(format!("{error}\nThe run directory is {}{advice}", run.path().display())))
        }
    }
}

/// What to do about a run that diverged.
fn another_try(run: &RunDir) -> String {
    let config = run.config().display().to_string();
    let out = format!("{}-clipped", run.path().display());
    let again = command_line(&["looped", "run", &config, "training.gradient_clip=1.0", "--out", &out]);
    format!(", with the parameters before that step in checkpoints/last. For example:\n  {again}")
}

/// Evaluates; a stop there loses nothing, since `resume` evaluates again.
pub(crate) fn finish_or_stop(trainer: &Trainer, run: &RunDir, tracker: Tracker, as_json: bool) -> Outcome {
    let finished = finish(trainer, run, as_json);
    let (how, error) = match &finished {
        Ok(()) => (How::Finished, None),
        Err(Failure::Stopped) => {
            let (steps, resume) = (trainer.steps_done(), resume_by(run.path()));
            eprintln!("all {steps} steps are done; stopped before the evaluation; resume by `{resume}`");
            (How::Stopped, None)
        }
        Err(Failure::Usage(message) | Failure::Failed(message)) => (How::Failed, Some(message.clone())),
        Err(Failure::Config(error)) => (How::Failed, Some(error.to_string())),
    };
    ended_by(run, trainer, tracker, how, error.as_deref());
    finished
}

/// Notes in `run.json` how this session ended, and lets the tracker send the rest. That either can't be done is no reason for another end.
fn ended_by(run: &RunDir, trainer: &Trainer, tracker: Tracker, how: How, error: Option<&str>) {
    if let Err(error) = Provenance::end(run.path(), trainer.steps_done(), how, error.map(str::to_owned)) {
        eprintln!("warning: {error}");
    }
    tracker.end(how, trainer.steps_done(), error).iter().for_each(|line| eprintln!("{line}"));
}

/// Evaluates a finished training, and prints its directory and the table.
pub(crate) fn finish(trainer: &Trainer, run: &RunDir, as_json: bool) -> Outcome {
    let watch = Meter::new("evaluating", "prompts")?;
    let evaluation = looped_study::finish(trainer, run, &watch)?;
    drop(watch);
    evaluation.warnings().iter().for_each(|warning| eprintln!("warning: {warning}"));
    let found = json!({ "run": shown(run.path()), "evaluation": evaluation });
    answer(as_json, &found, || format!("{}\n{}", run.path().display(), evaluation.table()))
}
