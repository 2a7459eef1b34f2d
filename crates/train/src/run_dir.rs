//! A run's directory: config, metrics, checkpoints, results.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::checkpoint::Checkpoints;
use crate::error::At;
use crate::files::write_atomically;
use crate::lock::{LOCK, is_locked, lock};
use crate::shell::resume_by;
use crate::{Result, TrainError};

/// The file of a run's resolved config.
pub(crate) const CONFIG: &str = "config.toml";

/// A run's directory, held by this process alone.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// The system frees the lock when the process ends, however it ends.
    _lock: File,
}

impl RunDir {
    /// Makes a directory for a new run and saves its resolved config, before anything else can fail.
    ///
    /// # Errors
    /// If `path` holds a run already, or other files, or can't be written.
    pub fn create(path: &Path, config: &str) -> Result<Self> {
        Self::create_with(path, config, |_| Ok(()))
    }

    /// As [`create`](Self::create), for a run that doesn't begin at its config: `begin` saves the checkpoint that it
    /// continues from. The config, which makes a run of the directory, comes last: no crash leaves a run with another beginning.
    ///
    /// # Errors
    /// As `create`; and what `begin` returns.
    pub fn create_with(
        path: &Path,
        config: &str,
        begin: impl FnOnce(&Checkpoints) -> Result<()>,
    ) -> Result<Self> {
        refuse_a_run(path)?;
        fs::create_dir_all(path).at("create", path)?;
        let mut entries = fs::read_dir(path).at("read", path)?.filter_map(|e| e.ok().map(|e| e.file_name()));
        // What a process leaves here that was killed before there was a run.
        let left_over = [LOCK, "config.toml.tmp"];
        if let Some(name) = entries.find(|name| left_over.iter().all(|left| name != left)) {
            let message =
                format!("{} is not empty (it holds {name:?}); choose another --out", path.display());
            return Err(TrainError::Refused(message));
        }
        let run = Self { path: path.to_owned(), _lock: lock(path)? };
        // Another process may have been quicker, and have ended since.
        refuse_a_run(path)?;
        begin(&run.checkpoints())?;
        write_atomically(&run.config(), config.as_bytes())?;
        Ok(run)
    }

    /// Opens the directory of a run that was begun.
    ///
    /// # Errors
    /// If there is no run in it, or another process works on it.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.join(CONFIG).is_file() {
            let message = format!("{} is not a run directory: it has no {CONFIG}", path.display());
            return Err(TrainError::Refused(message));
        }
        Ok(Self { path: path.to_owned(), _lock: lock(path)? })
    }

    /// Whether a process works on the run in `path`, if there is one.
    #[must_use]
    pub fn is_in_use(path: &Path) -> bool {
        is_locked(path)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved config.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// The metrics file.
    #[must_use]
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The evaluation's results.
    #[must_use]
    pub fn evaluation(&self) -> PathBuf {
        self.path.join("eval.json")
    }

    /// The score of each prompt of the evaluation.
    #[must_use]
    pub fn scores(&self) -> PathBuf {
        self.path.join("scores.safetensors")
    }

    /// The results on shifted prompts, where they were asked for.
    #[must_use]
    pub fn shifted_evaluation(&self) -> PathBuf {
        self.path.join("eval_ood.json")
    }

    /// What probes read from the states, where they were asked to.
    #[must_use]
    pub fn probing(&self) -> PathBuf {
        self.path.join("probe.json")
    }

    /// The folder of what `looped match` and the like found, where it was kept.
    #[must_use]
    pub fn lab(&self) -> PathBuf {
        self.path.join("lab")
    }

    /// The folder of plots.
    #[must_use]
    pub fn plots(&self) -> PathBuf {
        self.path.join("plots")
    }

    /// The page of results.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// The checkpoints.
    #[must_use]
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(self.path.join("checkpoints"))
    }
}

fn refuse_a_run(path: &Path) -> Result<()> {
    if !path.join(CONFIG).exists() {
        return Ok(());
    }
    let message = format!(
        "{} holds a run already; resume it by `{}`, or choose another --out",
        path.display(),
        resume_by(path)
    );
    Err(TrainError::Refused(message))
}
