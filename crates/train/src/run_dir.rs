//! A run's directory: config, metrics, checkpoints, results.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::checkpoint::Checkpoints;
use crate::error::At;
use crate::files::write_atomically;
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
        if path.join(CONFIG).exists() {
            let message = format!(
                "{} holds a run already; go on with it by `looped resume {0}`, or choose another --out",
                path.display()
            );
            return Err(TrainError::Refused(message));
        }
        fs::create_dir_all(path).at("create", path)?;
        let mut entries = fs::read_dir(path).at("read", path)?.filter_map(|e| e.ok().map(|e| e.file_name()));
        if let Some(name) = entries.find(|name| name != ".lock") {
            let message =
                format!("{} is not empty (it holds {name:?}); choose another --out", path.display());
            return Err(TrainError::Refused(message));
        }
        let lock = lock(path)?;
        write_atomically(&path.join(CONFIG), config.as_bytes())?;
        Ok(Self { path: path.to_owned(), _lock: lock })
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

    /// The results on shifted prompts, where they were asked for.
    #[must_use]
    pub fn shifted_evaluation(&self) -> PathBuf {
        self.path.join("eval_ood.json")
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

fn lock(path: &Path) -> Result<File> {
    let file_path = path.join(".lock");
    let file =
        File::options().create(true).truncate(false).write(true).open(&file_path).at("open", &file_path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(TrainError::Refused(format!("{} is in use by another looped process", path.display())))
        }
        Err(TryLockError::Error(source)) => Err(source).at("lock", &file_path),
    }
}
