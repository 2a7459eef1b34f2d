//! A run's TensorBoard events: the records of its training, and the scores that it ends with.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use looped_eval::Evaluation;
use looped_report::tensorboard::{EventWriter, newest, truncate_after};
use looped_train::{Observer, Record, Result, TrainError};

/// Writes the events of one run. As an [`Observer`] of its training it writes every record.
#[derive(Debug)]
pub struct Events {
    writer: EventWriter,
}

impl Events {
    /// Continues the events of the run in `folder` after `steps_done` steps, less those of steps that will come again; begins
    /// them where there are none.
    ///
    /// # Errors
    /// If a file can't be read or written.
    pub fn open(folder: &Path, steps_done: usize) -> Result<Self> {
        Ok(Self { writer: writer(folder, steps_done).map_err(failed)? })
    }

    /// Writes what was logged of a step.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn record(&mut self, record: &Record) -> Result<()> {
        let named = record.named();
        let values: Vec<(&str, f32)> =
            named.iter().map(|(name, value)| (name.as_str(), *value as f32)).collect();
        self.write(record.step, &values)
    }

    /// Writes the score of the model and each baseline with the most examples, as after the last of `steps_done` steps.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn evaluated(&mut self, steps_done: usize, evaluation: &Evaluation) -> Result<()> {
        let last = |(name, curve): (&str, &looped_eval::Curve)| {
            Some((format!("evaluation/{name}"), *curve.mean.last()? as f32))
        };
        let scores: Vec<(String, f32)> = evaluation.curves.iter().filter_map(last).collect();
        let values: Vec<(&str, f32)> = scores.iter().map(|(name, score)| (name.as_str(), *score)).collect();
        self.write(steps_done, &values)
    }

    fn write(&mut self, step: usize, values: &[(&str, f32)]) -> Result<()> {
        let written = self.writer.scalars(now(), step as u64, values);
        written.and_then(|()| self.writer.flush()).map_err(failed)
    }
}

impl Observer for Events {
    fn recorded(&mut self, record: &Record) -> Result<()> {
        self.record(record)
    }
}

fn writer(folder: &Path, steps_done: usize) -> std::result::Result<EventWriter, looped_report::Error> {
    match newest(folder)? {
        None => EventWriter::create(folder, now()),
        Some(path) if steps_done == 0 => {
            // All of it comes again.
            std::fs::remove_file(&path).map_err(|source| looped_report::Error::Io { path, source })?;
            writer(folder, 0)
        }
        Some(path) => {
            truncate_after(&path, steps_done as u64 - 1)?;
            EventWriter::append(&path, now())
        }
    }
}

fn failed(error: looped_report::Error) -> TrainError {
    TrainError::Observer(format!("TensorBoard events: {error}"))
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
