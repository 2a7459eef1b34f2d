//! `run.json`: what made a run. It is no part of the results: two equal runs differ in it.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use looped_config::{Difference, Experiment};
use looped_ops::Kernels;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::At;
use crate::files::write_atomically;
use crate::{Result, TrainError, Trainer};

/// The file in a run's directory.
pub(crate) const FILE: &str = "run.json";

/// The contents of `run.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The format of the file: 1.
    pub format: u32,
    /// The resolved config of the newest session. The steps done were made with it, whatever happens to `config.toml`.
    pub config: Value,
    /// Every process that has trained or finished the run, the first one first.
    pub sessions: Vec<Session>,
}

/// One process at work on a run: `looped run`, or a `looped resume` later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    /// When it began, in UTC.
    pub started: String,
    /// The steps that were done by then.
    pub steps_done: usize,
    /// Its command line.
    pub command: Vec<String>,
    /// The program.
    #[serde(flatten)]
    pub build: Build,
    /// The machine's name.
    pub host: String,
    /// The processor's name.
    pub cpu: String,
    /// What the kernels of the fused engine run on, as in `avx512`.
    pub instruction_set: String,
    /// `training.threads`.
    pub threads: usize,
    /// `training.ranks`, where it is more than 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranks: Option<usize>,
    /// `fused`, `cuda` or `candle`.
    pub engine: String,
    /// Why it isn't the fast engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not_fused: Option<String>,
    /// The operations that the engine ran by candle's operations, more slowly, since it has no kernels for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without_kernel: Vec<String>,
    /// `cpu`, `cuda:0`, ...
    pub device: String,
    /// The GPU, and the versions of its driver and libraries, where the CUDA engine computes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gpu: String,
    /// What the session changed in the config.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Difference>,
    /// How it ended; missing while it works, or if it was killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

/// Which program it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Build {
    /// The version.
    pub version: String,
    /// The git commit that it was built from, or `unknown`.
    pub commit: String,
    /// Whether the sources differed from that commit, if that is known.
    pub dirty: Option<bool>,
}

impl Build {
    /// As in `0.1.0 (9a8b7c6d5e)`; with `, changed` where the sources differed from the commit.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { version, commit, dirty } = self;
        let dirty = if *dirty == Some(true) { ", changed" } else { "" };
        format!("{version} ({}{dirty})", commit.get(..10).unwrap_or(commit))
    }
}

impl Default for Build {
    fn default() -> Self {
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), commit: "unknown".to_owned(), dirty: None }
    }
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// When, in UTC.
    pub at: String,
    /// The steps that were done by then.
    pub steps_done: usize,
    /// In which way.
    pub how: How,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The ways a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// Trained and evaluated.
    Finished,
    /// Stopped by a signal, and can be resumed.
    Stopped,
    /// The loss or the gradient was no number.
    Diverged,
    /// Another error.
    Failed,
}

impl Session {
    /// This process, about to take `trainer` further.
    #[must_use]
    pub fn now(trainer: &Trainer, build: Build, why_not_fused: Option<String>) -> Self {
        let training = &trainer.experiment().training;
        Self {
            started: now(),
            steps_done: trainer.steps_done(),
            command: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
            build,
            host: host(),
            cpu: cpu(),
            instruction_set: format!("{:?}", Kernels::best().isa()).to_lowercase(),
            threads: training.threads.unwrap_or_else(crate::model::all_threads),
            ranks: (training.ranks > 1).then_some(training.ranks),
            engine: trainer.model().engine().to_owned(),
            why_not_fused,
            without_kernel: trainer.model().without_kernel(),
            device: trainer.model().target().name(),
            gpu: trainer.model().versions(),
            changed: Vec::new(),
            end: None,
        }
    }

    /// What differs from an earlier session in ways that can change the last bits of a result, each as in
    /// `threads 2 -> 1`.
    #[must_use]
    pub fn other_bits_than(&self, earlier: &Self) -> Vec<String> {
        // The candle engine's products depend on the processor, the fused engine's only on its instruction set.
        let cpu = |session: &Self| match session.engine.as_str() {
            "fused" | "cuda" => String::new(),
            _ => session.cpu.clone(),
        };
        [
            ("threads", earlier.threads.to_string(), self.threads.to_string()),
            ("ranks", earlier.ranks.unwrap_or(1).to_string(), self.ranks.unwrap_or(1).to_string()),
            ("instruction set", earlier.instruction_set.clone(), self.instruction_set.clone()),
            ("engine", earlier.engine.clone(), self.engine.clone()),
            ("device", earlier.device.clone(), self.device.clone()),
            ("GPU", earlier.gpu.clone(), self.gpu.clone()),
            ("processor", cpu(earlier), cpu(self)),
            ("looped", earlier.build.words(), self.build.words()),
        ]
        .into_iter()
        .filter(|(_, from, to)| from != to)
        .map(|(what, from, to)| format!("{what} {from} -> {to}"))
        .collect()
    }
}

impl Provenance {
    /// Reads the file of the run in `folder`; nothing if it has none, as a run that was made by a loop of one's own.
    ///
    /// # Errors
    /// If it can't be read, or isn't such a file.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.at("read", &path)?,
        };
        let read: Self = serde_json::from_slice(&text).map_err(|error| TrainError::Content {
            path: path.clone(),
            message: format!("{error}; without this file the run can still be used"),
        })?;
        if read.format > 1 {
            let message = format!("has format {}, written by a later version; this one reads 1", read.format);
            return Err(TrainError::Content { path, message });
        }
        Ok(Some(read))
    }

    /// Adds a session that works on `experiment`, and writes the file.
    ///
    /// # Errors
    /// If the file can't be read or written; then it holds what it held.
    pub fn begin(folder: &Path, experiment: &Experiment, session: Session) -> Result<()> {
        let mut sessions = Self::read(folder)?.map_or_else(Vec::new, |provenance| provenance.sessions);
        sessions.push(session);
        let config = serde_json::to_value(experiment)
            .map_err(|error| TrainError::Refused(format!("the config cannot be written: {error}")))?;
        Self { format: 1, config, sessions }.write(folder)
    }

    /// Says of the newest session how it ended; nothing if the run has no such file.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn end(folder: &Path, steps_done: usize, how: How, error: Option<String>) -> Result<()> {
        let Some(mut provenance) = Self::read(folder)? else { return Ok(()) };
        if let Some(session) = provenance.sessions.last_mut() {
            session.end = Some(End { at: now(), steps_done, how, error });
        }
        provenance.write(folder)
    }

    /// The sessions that took steps of a training of `train_steps`: one that ended before its first, or only evaluated, has
    /// computed nothing of the model.
    #[must_use]
    pub fn trained(&self, train_steps: usize) -> Vec<&Session> {
        let took_steps = |(i, session): &(usize, &Session)| {
            self.sessions.get(i + 1).map_or(train_steps, |next| next.steps_done) > session.steps_done
        };
        self.sessions.iter().enumerate().filter(took_steps).map(|(_, session)| session).collect()
    }

    /// The config that the steps done were made with; nothing where it can't be read any more, for want of a part.
    #[must_use]
    pub fn experiment(&self) -> Option<Experiment> {
        serde_json::from_value(self.config.clone()).ok()
    }

    fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| TrainError::Content { path: path.clone(), message: error.to_string() })?;
        write_atomically(&path, &[text, b"\n".to_vec()].concat())
    }
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// The name of this machine; `unknown` where the system doesn't tell.
#[must_use]
pub fn host() -> String {
    sysinfo::System::host_name().unwrap_or_else(|_| "unknown".to_owned())
}

fn cpu() -> String {
    let wanted = sysinfo::RefreshKind::nothing().with_cpu(sysinfo::CpuRefreshKind::nothing());
    let system = sysinfo::System::new_with_specifics(wanted).ok();
    let name = system.as_ref().and_then(|system| system.cpus().first()).map(|cpu| cpu.brand().trim());
    name.filter(|name| !name.is_empty()).unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_change_the_last_bits_is_told_and_nothing_else() {
        let build = |commit: &str, dirty| Build { commit: commit.to_owned(), dirty, ..Build::default() };
        let before = Session {
            build: build("1111111111111111", Some(false)),
            cpu: "one".to_owned(),
            instruction_set: "avx512".to_owned(),
            threads: 2,
            engine: "fused".to_owned(),
            device: "cpu".to_owned(),
            ..Session::default()
        };
        let other = Session { host: "elsewhere".to_owned(), cpu: "another".to_owned(), ..before.clone() };
        assert_eq!(
            other.other_bits_than(&before),
            [""; 0],
            "the fused engine's bits are those of its instruction set"
        );
        let avx2 = Session { instruction_set: "avx2".to_owned(), threads: 1, ..before.clone() };
        assert_eq!(avx2.other_bits_than(&before), ["threads 2 -> 1", "instruction set avx512 -> avx2"]);
        let candle =
            |cpu: &str| Session { engine: "candle".to_owned(), cpu: cpu.to_owned(), ..before.clone() };
        assert_eq!(candle("two").other_bits_than(&candle("one")), ["processor one -> two"]);
        let rebuilt = Session { build: build("2222222222222222", Some(true)), ..before.clone() };
        assert_eq!(
            rebuilt.other_bits_than(&before),
            ["looped 0.1.0 (1111111111) -> 0.1.0 (2222222222, changed)"]
        );
    }
}
