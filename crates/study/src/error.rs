//! What can go wrong with runs that are finished, compared or swept.

use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// What was asked for can't be done: the message says why, and what can.
    #[error("{0}")]
    Refused(String),
    /// A run or its directory.
    #[error(transparent)]
    Train(#[from] looped_train::TrainError),
    /// A config or a sweep file.
    #[error(transparent)]
    Config(#[from] looped_config::ConfigError),
    /// The model, its task or its scores.
    #[error(transparent)]
    Core(#[from] looped_core::Error),
    /// A figure or a report.
    #[error(transparent)]
    Report(#[from] looped_report::Error),
    /// A file or folder could not be read or written.
    #[error(transparent)]
    File(#[from] looped_train::FileError),
    /// A file's contents are not what they should be.
    #[error("{path}: {message}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Results that can't be written down.
    #[error("cannot write the results as text: {0}")]
    Encode(String),
}

impl From<serde_json::Error> for StudyError {
    fn from(error: serde_json::Error) -> Self {
        Self::Encode(error.to_string())
    }
}

impl From<toml::ser::Error> for StudyError {
    fn from(error: toml::ser::Error) -> Self {
        Self::Encode(error.to_string())
    }
}

/// The result of this crate's functions.
pub type Result<T, E = StudyError> = std::result::Result<T, E>;
