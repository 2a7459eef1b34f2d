//! `metrics.jsonl`: a line for each logged step, without a gap or a double line across resumes.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use looped_curriculum::Stage;
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::At;
use crate::files::write_atomically;
use crate::{Result, TrainError};

/// What is logged of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The step, from 0.
    pub step: usize,
    /// The loss on the step's batch, before its update; NaN, in the file `null`, if it isn't finite.
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f64,
    /// The curriculum's stage.
    #[serde(flatten)]
    pub stage: Stage,
    /// The learning rate of the step's update.
    pub learning_rate: f64,
    /// The norm of all gradients together, before clipping; NaN, in the file `null`, if it isn't finite.
    #[serde(deserialize_with = "number_or_null")]
    pub grad_norm: f64,
    /// Steps a second since the last record.
    pub steps_per_second: f64,
    /// Seconds of all threads in processors since the last record, where the system tells; a run's whole cost is their
    /// sum. Unlike the time on the wall it holds no pause, and little of what else the machine does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
    /// Steps so far that changed nothing, because their loss or gradient wasn't finite.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: usize,
    /// The loss on the [`Validation`](crate::Validation) prompts after the step, where it was taken: of the curriculum's
    /// last stage, whatever the step's is, and divided by the task's normaliser. All runs of a task can be compared by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss_last_stage: Option<f64>,
    /// The same of the averaged weights, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss_ema: Option<f64>,
    /// Found in runs of earlier versions only: the loss on prompts of the run's own seed at the step's stage, not divided
    /// by anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f64>,
    /// What the unroll and the regularisers tell of the step, by name: the mean over its prompts; nothing where that isn't finite.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, Option<f64>>,
}

impl Record {
    /// Its numbers by the names that trackers show them under, as in `train/loss`; what the step has no number for is missing.
    #[must_use]
    pub fn named(&self) -> Vec<(String, f64)> {
        let always = [
            ("train/loss", self.loss),
            ("train/grad_norm", self.grad_norm),
            ("train/learning_rate", self.learning_rate),
            ("train/steps_per_second", self.steps_per_second),
            ("curriculum/dims", self.stage.dims as f64),
            ("curriculum/points", self.stage.points as f64),
            ("curriculum/loops", self.stage.loops as f64),
        ];
        let sometimes = [
            ("validation/loss_last_stage", self.validation_loss_last_stage),
            ("validation/loss_ema", self.validation_loss_ema),
            ("train/skipped", (self.skipped > 0).then_some(self.skipped as f64)),
        ];
        let always = always.into_iter().map(|(name, value)| (name.to_owned(), value));
        let sometimes = sometimes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let notes = self.notes.iter().filter_map(|(what, value)| Some((format!("notes/{what}"), (*value)?)));
        always.chain(sometimes).chain(notes).collect()
    }
}

const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// JSON has no NaN.
fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// The open metrics file of a run.
#[derive(Debug)]
pub struct Metrics {
    file: File,
    path: PathBuf,
}

impl Metrics {
    /// Opens the file, keeping only the records of steps before `next_step`: later ones will be written again.
    ///
    /// # Errors
    /// If it can't be read or written, or a line before the last isn't a record.
    pub fn open(path: &Path, next_step: usize) -> Result<Self> {
        let mut kept = Vec::new();
        for record in Self::read(path)? {
            if record.step < next_step {
                kept.extend(line(&record, path)?);
            }
        }
        write_atomically(path, &kept)?;
        let file = OpenOptions::new().append(true).open(path).at("open", path)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let line = line(record, &self.path)?;
        Ok(self.file.write_all(&line).at("write", &self.path)?)
    }

    /// Waits until the disk has every line.
    ///
    /// # Errors
    /// If the system says so.
    pub fn sync(&self) -> Result<()> {
        Ok(self.file.sync_data().at("sync", &self.path)?)
    }

    /// The records of a file; a last line that a crash cut short is left out. None where there is no file: a training
    /// loop of one's own needs no metrics.
    ///
    /// # Errors
    /// If it can't be read, or another line isn't a record.
    pub fn read(path: &Path) -> Result<Vec<Record>> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text.at("read", path)?,
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let parse = |(number, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| TrainError::Content {
                path: path.to_owned(),
                message: format!("line {}: {error}", number + 1),
            })
        };
        let mut records: Vec<Record> = whole.lines().enumerate().map(parse).collect::<Result<_>>()?;
        // An editor may have taken the last newline away; what is a record without it is whole.
        records.extend(serde_json::from_str::<Record>(&text[whole.len()..]));
        Ok(records)
    }
}

fn line(record: &Record, path: &Path) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)
        .map_err(|error| TrainError::Content { path: path.to_owned(), message: error.to_string() })?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: usize) -> Record {
        Record {
            step,
            loss: 1.5,
            stage: Stage { dims: 1, points: 2, loops: 3 },
            learning_rate: 1e-4,
            grad_norm: 0.1,
            steps_per_second: 7.0,
            cpu_seconds: Some(0.25),
            skipped: step / 3,
            validation_loss_last_stage: (step == 2).then_some(0.5),
            validation_loss_ema: (step == 3).then_some(0.25),
            validation_loss: (step == 1).then_some(4.0),
            notes: [("jacobian".to_owned(), (step != 2).then_some(0.5))].into(),
        }
    }

    #[test]
    fn reopening_drops_what_will_come_again_and_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut metrics = Metrics::open(&path, 0).unwrap();
        (0..5).for_each(|step| metrics.append(&record(step)).unwrap());
        let torn = [fs::read(&path).unwrap(), b"{\"step\":5,\"lo".to_vec()].concat();
        fs::write(&path, torn).unwrap();
        let mut metrics = Metrics::open(&path, 3).unwrap();
        metrics.append(&record(3)).unwrap();
        let expected: Vec<Record> = (0..4).map(record).collect();
        assert_eq!(Metrics::read(&path).unwrap(), expected);
    }

    #[test]
    fn what_is_no_number_is_null_in_the_file_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let record = Record { loss: f64::NAN, grad_norm: f64::INFINITY, ..record(4) };
        Metrics::open(&path, 0).unwrap().append(&record).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains(r#""loss":null"#));
        let read = &Metrics::read(&path).unwrap()[0];
        assert!(read.loss.is_nan() && read.grad_norm.is_nan() && read.skipped == 1, "{read:?}");
    }

    #[test]
    fn a_last_record_without_its_newline_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut metrics = Metrics::open(&path, 0).unwrap();
        (0..3).for_each(|step| metrics.append(&record(step)).unwrap());
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.trim_end()).unwrap();
        let mut metrics = Metrics::open(&path, 3).unwrap();
        metrics.append(&record(3)).unwrap();
        assert_eq!(Metrics::read(&path).unwrap(), (0..4).map(record).collect::<Vec<_>>());
    }
}
