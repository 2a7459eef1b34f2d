//! A whole run: trained, evaluated as its experiment says, with its report.

use std::path::Path;
use std::sync::Arc;

use looped_config::Experiment;
use looped_core::Error;
use looped_eval::Evaluation;
use looped_mlflow::Tracker;
use looped_train::{
    Build, How, Observer, Outcome, Provenance, RunDir, Session, Target, TrainError, Trainer, resolve, train,
};

use crate::events::Events;
use crate::followed::Followed;
use crate::reopen::{Reopened, reopen};
use crate::{Result, StudyError, finish};

/// How a run ended.
#[derive(Debug)]
pub enum RunEnd {
    /// Trained and evaluated.
    Finished(Box<Evaluation>),
    /// The observer wanted to stop; [`resume`] takes it from there.
    Stopped,
}

/// Trains an experiment in a new directory, and evaluates it.
///
/// As by `looped run`, what the experiment leaves open is settled in the run's `config.toml`, `run.json` says what made the
/// run, and TensorBoard can follow it; so can an MLflow server that the environment names ([`Tracker`]).
///
/// # Errors
/// If `folder` isn't free, a step fails, or a file can't be written.
pub fn run(
    experiment: Arc<Experiment>,
    folder: &Path,
    device: impl Into<Target>,
    observer: &mut dyn Observer,
) -> Result<RunEnd> {
    let (trainer, run) = begin(experiment, folder, device, Build::default())?;
    to_the_end(trainer, &run, observer)
}

/// The first half of [`run`], by a program that knows of which commit it is: a new directory, and its experiment's trainer at step 0.
/// [`to_the_end`] is the second.
///
/// # Errors
/// If `folder` isn't free, the model can't be built, or a file can't be written.
pub fn begin(
    experiment: Arc<Experiment>,
    folder: &Path,
    device: impl Into<Target>,
    build: Build,
) -> Result<(Trainer, RunDir)> {
    let mut experiment = Experiment::from_toml(&experiment.to_toml()?)?;
    let device = device.into();
    let engine = resolve(&mut experiment, &device)?;
    let trainer = Trainer::new(Arc::new(experiment), device)?;
    let run = RunDir::create(folder, &trainer.experiment().to_toml()?)?;
    Provenance::begin(run.path(), trainer.experiment(), Session::now(&trainer, build, engine.why))?;
    Ok((trainer, run))
}

/// Resumes the run in a directory from its newest good checkpoint, and evaluates it; one that is finished is evaluated
/// again.
///
/// # Errors
/// If there is no run in `folder`, another process works on it, no checkpoint is good, or a step fails.
pub fn resume(folder: &Path, device: impl Into<Target>, observer: &mut dyn Observer) -> Result<RunEnd> {
    resume_with(folder, &[], device, observer)
}

/// As [`resume`], with `key=value` changes that leave the steps already done as they are: more steps, another evaluation.
///
/// # Errors
/// As [`resume`]; and if a change would have changed the steps already done.
pub fn resume_with(
    folder: &Path,
    changes: &[String],
    device: impl Into<Target>,
    observer: &mut dyn Observer,
) -> Result<RunEnd> {
    let Reopened { run, trainer, .. } = reopen(folder, changes, device, Build::default(), &mut |_| {})?;
    to_the_end(trainer, &run, observer)
}

/// Takes a run to its end from where it is: trained, and evaluated.
///
/// # Errors
/// If a step fails, or a file can't be written.
pub fn to_the_end(mut trainer: Trainer, run: &RunDir, observer: &mut dyn Observer) -> Result<RunEnd> {
    let events = Events::open(run.path(), trainer.steps_done())?;
    let tracker = Tracker::follow(run.path());
    let followed = &mut Followed { events, tracker: &tracker, observer: &mut *observer };
    let trained = train(&mut trainer, run, followed);
    let ended = match trained {
        Ok(Outcome::Finished) => {
            finish(&trainer, run, observer.evaluation()).map(Box::new).map(RunEnd::Finished)
        }
        Ok(Outcome::Stopped) => Ok(RunEnd::Stopped),
        Err(error) => Err(error.into()),
    };
    let (how, error) = match &ended {
        Ok(RunEnd::Finished(_)) => (How::Finished, None),
        Ok(RunEnd::Stopped) | Err(StudyError::Core(Error::Stopped)) => (How::Stopped, None),
        Err(StudyError::Train(error @ TrainError::NonFinite { .. })) => {
            (How::Diverged, Some(error.to_string()))
        }
        Err(error) => (How::Failed, Some(error.to_string())),
    };
    let noted = Provenance::end(run.path(), trainer.steps_done(), how, error.clone());
    tracker.end(how, trainer.steps_done(), error.as_deref()).iter().for_each(|line| observer.told(line));
    match ended {
        Err(StudyError::Core(Error::Stopped)) => Ok(RunEnd::Stopped),
        // That an error can't be noted must not hide it.
        Err(error) => Err(error),
        Ok(ended) => noted.map(|()| ended).map_err(Into::into),
    }
}
