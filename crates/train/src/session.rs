//! The training loop: steps, records, checkpoints, and stopping when asked to.

use looped_core::Watch;

use crate::clock::Clock;
use crate::{Metrics, Ranks, Record, Result, RunDir, TrainError, Trainer};

/// What watches a training loop.
pub trait Observer {
    /// Called after every step.
    fn stepped(&mut self, step: usize, loss: f64) {
        let _ = (step, loss);
    }

    /// Called for every record, once it's in `metrics.jsonl`.
    ///
    /// # Errors
    /// An error ends the training, as one of its own does.
    fn recorded(&mut self, record: &Record) -> Result<()> {
        let _ = record;
        Ok(())
    }

    /// Called once in a training, at the first logged step whose notes say something against its gradient: what.
    fn doubted(&mut self, step: usize, what: &str) {
        let _ = (step, what);
    }

    /// Called with what the run's user should know of what goes on beside the training: a line that begins with `note:` or `warning:`.
    fn told(&mut self, line: &str) {
        let _ = line;
    }

    /// Asked between steps: `true` saves and ends the training.
    fn wants_stop(&self) -> bool {
        false
    }

    /// What watches the evaluation after the last step, where one follows; by default nothing does.
    fn evaluation(&self) -> &dyn Watch {
        &()
    }
}

/// An observer that sees nothing and never stops.
impl Observer for () {}

/// How a training loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// The observer wanted to stop; the state is saved.
    Stopped,
}

/// Trains to the end, or until the observer wants to stop; either way the newest state is saved as `last`.
///
/// # Errors
/// If a step fails or a file can't be written. A step that fails has changed no parameter: what was done before it is saved
/// as `last`, where that can still be, and a resume takes it from there.
pub fn train(trainer: &mut Trainer, run: &RunDir, observer: &mut dyn Observer) -> Result<Outcome> {
    let ended = steps(trainer, run, observer);
    part_if_all_do(trainer, &ended);
    ended
}

/// Takes part in a training that rank 0 leads, to its end or until all stop; nothing is written.
///
/// # Errors
/// If a step fails.
pub fn follow(trainer: &mut Trainer) -> Result<()> {
    let mut steps = || {
        while !trainer.is_done() && !trainer.ranks().is_some_and(Ranks::stops) {
            trainer.step()?;
        }
        Ok(())
    };
    let ended = steps();
    part_if_all_do(trainer, &ended);
    ended
}

/// Ends what ranks do together, at an end to which all of them come.
fn part_if_all_do<T>(trainer: &mut Trainer, ended: &Result<T>) {
    if matches!(ended, Ok(_) | Err(TrainError::NonFinite { .. })) {
        trainer.part();
    }
}

fn steps(trainer: &mut Trainer, run: &RunDir, observer: &mut dyn Observer) -> Result<Outcome> {
    let mut metrics = Metrics::open(&run.metrics(), trainer.steps_done())?;
    let begun_at = trainer.steps_done();
    match one_by_one(trainer, run, &mut metrics, observer) {
        Err(error @ (TrainError::NonFinite { .. } | TrainError::LostRank { .. })) => {
            save(trainer, run, &metrics)?;
            Err(error)
        }
        Err(error) => {
            // A lost GPU has nothing to save, a full disk no room: then the last save stands, and it is the first error that counts.
            if trainer.steps_done() > begun_at {
                let _ = save(trainer, run, &metrics);
            }
            Err(error)
        }
        ended => ended,
    }
}

fn save(trainer: &Trainer, run: &RunDir, metrics: &Metrics) -> Result<()> {
    let training = &trainer.experiment().training;
    let done = trainer.steps_done();
    let keep = done > 0 && done.is_multiple_of(training.keep_every_steps);
    metrics.sync()?;
    run.checkpoints().save(&trainer.checkpoint()?, training.save_every_steps, keep)
}

fn one_by_one(
    trainer: &mut Trainer,
    run: &RunDir,
    metrics: &mut Metrics,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let (mut since, mut since_step) = (Clock::start(), trainer.steps_done());
    let mut doubted = false;
    while !trainer.is_done() {
        if trainer.ranks().map_or_else(|| observer.wants_stop(), Ranks::stops) {
            save(trainer, run, metrics)?;
            return Ok(Outcome::Stopped);
        }
        let report = trainer.step()?;
        observer.stepped(report.step, report.loss);
        let training = &trainer.experiment().training;
        let done = trainer.steps_done();
        let due = |every: usize| report.step.is_multiple_of(every) || trainer.is_done();
        let validate = due(training.validate_every_steps);
        if validate || due(training.log_every_steps) {
            // Where it fails, the step's line is there all the same: no resume writes it again.
            let validated = if validate { validation(trainer) } else { Ok((None, None)) };
            let (validation_loss_last_stage, validation_loss_ema) =
                validated.as_ref().copied().unwrap_or((None, None));
            let record = Record {
                step: report.step,
                loss: report.loss,
                stage: report.stage,
                learning_rate: report.learning_rate,
                grad_norm: report.grad_norm,
                steps_per_second: (done - since_step) as f64 / since.seconds().max(1e-9),
                cpu_seconds: since.cpu_seconds(),
                skipped: trainer.steps_skipped(),
                validation_loss_last_stage,
                validation_loss_ema,
                validation_loss: None,
                notes: report
                    .notes
                    .iter()
                    .map(|(what, value)| ((*what).to_owned(), finite(*value)))
                    .collect(),
            };
            metrics.append(&record)?;
            validated?;
            observer.recorded(&record)?;
            let doubt = if doubted { None } else { training.unroll().doubt(&report.notes) };
            if let Some(what) = doubt {
                observer.doubted(report.step, &what);
                doubted = true;
            }
            (since, since_step) = (Clock::start(), done);
        }
        if done.is_multiple_of(training.save_every_steps) && !trainer.is_done() {
            save(trainer, run, metrics)?;
        }
    }
    save(trainer, run, metrics)?;
    Ok(Outcome::Finished)
}

/// The validation loss, and that of the averaged weights where there are any.
fn validation(trainer: &Trainer) -> Result<(Option<f64>, Option<f64>)> {
    Ok((Some(trainer.validation_loss()?), trainer.averaged_validation_loss()?))
}

/// A number that JSON has.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
