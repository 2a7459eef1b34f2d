//! How the runs of a sweep ended, as files that every process can read.

use std::fs;
use std::path::{Path, PathBuf};

use looped_train::{At as _, write_atomically};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::sweep::{Ending, PlannedRun};

/// How a run ended the last time that somebody did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// `finished`, `stopped`, `diverged` or `failed`.
    pub how: String,
    /// What it said last; empty where it finished.
    pub reason: String,
    /// The machine that did it.
    pub host: String,
}

impl Ended {
    /// What is to be told of an ending here.
    #[must_use]
    pub fn of(ending: &Ending, host: &str) -> Self {
        let (how, reason) = match ending {
            Ending::Finished => ("finished", ""),
            Ending::Stopped(reason) => ("stopped", reason.as_str()),
            Ending::Diverged(reason) => ("diverged", reason.as_str()),
            Ending::Failed(reason) => ("failed", reason.as_str()),
        };
        Self { how: how.to_owned(), reason: reason.to_owned(), host: host.to_owned() }
    }

    /// How a run of the sweep in `folder` ended; nothing if it is in work, has not begun, or the file can't be read.
    #[must_use]
    pub fn read(folder: &Path, run: &PlannedRun) -> Option<Self> {
        serde_json::from_slice(&fs::read(place(folder, run)).ok()?).ok()
    }

    /// Writes it down.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write(&self, folder: &Path, run: &PlannedRun) -> Result<()> {
        let place = place(folder, run);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).at("create", parent)?;
        }
        Ok(write_atomically(&place, &serde_json::to_vec_pretty(self)?)?)
    }

    /// Forgets how a run ended: it is taken up again.
    pub fn forget(folder: &Path, run: &PlannedRun) {
        // If it can't be removed, the next ending replaces it.
        let _ = fs::remove_file(place(folder, run));
    }
}

fn place(folder: &Path, run: &PlannedRun) -> PathBuf {
    folder.join("ended").join(format!("{}.json", run.stem()))
}
