//! What runs and sweeps there are below a folder, from their files alone: nothing is locked, and no model is built.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use looped_train::{How, Provenance, Record, RunDir};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// Folders in folders are looked through to this depth.
const DEEPEST: usize = 6;

/// As much of the end of `metrics.jsonl` as is read.
const TAIL: u64 = 64 << 10;

/// How far a run or a sweep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// A process works on it.
    Running,
    /// Trained and evaluated; of a sweep, all its runs.
    Finished,
    /// Stopped or killed before its end; `looped resume` continues it.
    Stopped,
    /// Its loss or gradient stopped being a number.
    Diverged,
    /// Ended by another error.
    Failed,
    /// Its config can't be read.
    Unreadable,
}

impl State {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Diverged => "diverged",
            Self::Failed => "failed",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A run.
#[derive(Debug, Serialize)]
pub(crate) struct RunEntry {
    #[serde(serialize_with = "as_text")]
    pub(crate) path: PathBuf,
    /// The experiment's name.
    pub(crate) name: String,
    pub(crate) state: State,
    /// Steps done; of those of a stopped run that are not saved, none counts.
    pub(crate) step: u64,
    /// Steps in all.
    pub(crate) steps: u64,
    /// The last logged training loss.
    pub(crate) loss: Option<f64>,
    /// The last validation loss.
    pub(crate) validation_loss: Option<f64>,
    /// The model's error with the most examples, from `eval.json`.
    pub(crate) error: Option<f64>,
    /// Seconds since its files last changed.
    pub(crate) age_seconds: u64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
}

/// A sweep with its runs.
#[derive(Debug, Serialize)]
pub(crate) struct SweepEntry {
    #[serde(serialize_with = "as_text")]
    pub(crate) path: PathBuf,
    pub(crate) state: State,
    /// Runs that are finished.
    pub(crate) finished: usize,
    /// Runs in all, also those that haven't begun.
    pub(crate) planned: usize,
    pub(crate) runs: Vec<RunEntry>,
    pub(crate) age_seconds: u64,
}

/// What a folder holds.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Listing {
    pub(crate) sweeps: Vec<SweepEntry>,
    /// Those of no sweep.
    pub(crate) runs: Vec<RunEntry>,
}

impl Listing {
    /// All runs and sweeps in `folder` and below, by path; `folder` may be one itself.
    ///
    /// # Errors
    /// If `folder` can't be read.
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        fs::read_dir(folder)?;
        let mut found = Self::default();
        found.collect(folder, 0);
        Ok(found)
    }

    fn collect(&mut self, folder: &Path, depth: usize) {
        if folder.join("config.toml").is_file() {
            self.runs.push(RunEntry::of(folder));
        } else if folder.join("sweep.toml").is_file() {
            self.sweeps.push(SweepEntry::of(folder));
        } else if depth < DEEPEST {
            folders_in(folder).iter().for_each(|inner| self.collect(inner, depth + 1));
        }
    }
}

impl RunEntry {
    fn of(path: &Path) -> Self {
        let config = fs::read_to_string(path.join("config.toml")).ok();
        let config = config.and_then(|text| text.parse::<toml::Table>().ok());
        let steps = config.as_ref().and_then(|table| table.get("training")?.get("train_steps")?.as_integer());
        let name = config.as_ref().and_then(|table| table.get("name")?.as_str());
        let logged = last_records(&path.join("metrics.jsonl"));
        let last = logged.last();
        let saved = json(&path.join("checkpoints/last/state.json")).and_then(|state| state["step"].as_u64());
        let evaluation = json(&path.join("eval.json"));
        let end = Provenance::read(path).ok().flatten().and_then(|run| run.sessions.last()?.end.clone());
        let state = match end.as_ref().map(|end| end.how) {
            _ if RunDir::is_in_use(path) => State::Running,
            _ if steps.is_none() => State::Unreadable,
            Some(How::Diverged) => State::Diverged,
            Some(How::Failed) => State::Failed,
            _ if evaluation.is_some() && path.join("report.html").is_file() => State::Finished,
            _ => State::Stopped,
        };
        let step = match state {
            State::Running => last.map(|record| record.step as u64 + 1).max(saved),
            _ => saved,
        };
        let curve = evaluation.as_ref().and_then(|found| found["curves"]["model"]["mean"].as_array());
        let files = ["config.toml", "metrics.jsonl", "eval.json", "checkpoints/last/state.json", "run.json"];
        Self {
            path: path.to_owned(),
            name: name.unwrap_or_default().to_owned(),
            state,
            step: step.unwrap_or(0),
            steps: steps.and_then(|steps| u64::try_from(steps).ok()).unwrap_or(0),
            loss: last.map(|record| record.loss),
            validation_loss: logged.iter().rev().find_map(validation),
            error: curve.and_then(|mean| mean.last()?.as_f64()),
            age_seconds: age(files.map(|file| path.join(file))),
            failure: end.and_then(|end| end.error),
        }
    }
}

impl SweepEntry {
    fn of(path: &Path) -> Self {
        let folders = folders_in(&path.join("runs"));
        let begun = folders.iter().filter(|run| run.join("config.toml").is_file());
        let runs: Vec<RunEntry> = begun.map(|run| RunEntry::of(run)).collect();
        let finished = runs.iter().filter(|run| run.state == State::Finished).count();
        let planned = configs_in(&path.join("configs")).max(runs.len());
        let has = |state| runs.iter().any(|run| run.state == state);
        let state = if RunDir::is_in_use(path) || has(State::Running) {
            State::Running
        } else if path.join("report/report.html").is_file() && finished == planned {
            State::Finished
        } else if has(State::Failed) || has(State::Diverged) {
            State::Failed
        } else {
            State::Stopped
        };
        let own = age([path.join("sweep.toml"), path.join("report/report.html")]);
        let age_seconds = runs.iter().map(|run| run.age_seconds).fold(own, u64::min);
        Self { path: path.to_owned(), state, finished, planned, runs, age_seconds }
    }
}

/// JSON has no place for names that aren't UTF-8.
fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// The folders in a folder, sorted; none if it can't be read.
fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    // A link to a folder above would lead round and round.
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let mut folders: Vec<PathBuf> = entries.filter(is_folder).map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

/// The validation loss of a record; runs of earlier versions have another.
fn validation(record: &Record) -> Option<f64> {
    record.validation_loss_last_stage.or(record.validation_loss)
}

/// How many runs a sweep has planned: it keeps the config of each.
fn configs_in(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "toml")).count()
}

/// The records in the last part of a metrics file; none if there is none.
fn last_records(path: &Path) -> Vec<Record> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    // The first line may be cut, and the last one is being written while a run trains.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Seconds since the newest of some files was written.
fn age<const N: usize>(files: [PathBuf; N]) -> u64 {
    let written = files.iter().filter_map(|file| fs::metadata(file).ok()?.modified().ok()).max();
    let since = written.and_then(|time| SystemTime::now().duration_since(time).ok());
    since.map_or(0, |since| since.as_secs())
}
