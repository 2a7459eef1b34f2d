//! `mlflow.json`: which run of which server a run's directory is.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use looped_train::write_atomically;
use serde::{Deserialize, Serialize};

/// The file in a run's directory.
const FILE: &str = "mlflow.json";

/// The contents of `mlflow.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The format of the file: 1.
    pub format: u32,
    /// The server's address, without user and password.
    pub tracking_uri: String,
    /// What the tag `looped.key` says of the run. By it a run is found again whose server made it and could not say so any more.
    pub key: String,
    /// MLflow's id of the run, once it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Whether the server has all of the run: its metrics, its evaluation, its files, and how it ended.
    #[serde(default)]
    pub complete: bool,
}

impl Link {
    /// The link of the run in `folder`; nothing where there is none, or none that can be read.
    #[must_use]
    pub fn read(folder: &Path) -> Option<Self> {
        let text = std::fs::read(folder.join(FILE)).ok()?;
        serde_json::from_slice(&text).ok().filter(|link: &Self| link.format == 1)
    }

    /// A link to a run that isn't there yet.
    pub(crate) fn new(tracking_uri: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let key = format!("{now:x}-{:x}", std::process::id());
        Self { format: 1, tracking_uri: tracking_uri.to_owned(), key, run_id: None, complete: false }
    }

    pub(crate) fn write(&self, folder: &Path) -> looped_train::Result<()> {
        // Strings and numbers alone: they can be written as JSON.
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        write_atomically(&folder.join(FILE), text.as_bytes())
    }
}
