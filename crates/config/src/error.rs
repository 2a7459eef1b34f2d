//! What is wrong with an experiment file, in words that say how to mend it.

use std::fmt;

/// Why an experiment could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file can't be read, or isn't in its format.
    #[error("{file}: {message}")]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        message: String,
    },
    /// A `key=value` can't be understood.
    #[error("command line: {0}")]
    Override(String),
    /// Keys are missing or unknown, or their values can't be used: everything that was found, a line each.
    #[error("{}", lines(.0))]
    Invalid(Vec<Finding>),
}

impl ConfigError {
    pub(crate) fn file(file: impl fmt::Display, message: impl Into<String>) -> Self {
        Self::File { file: file.to_string(), message: message.into() }
    }
}

/// One thing wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file that set the key, or `command line`.
    pub source: String,
    /// Dotted path of the key; empty for the whole file.
    pub path: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, path, message } = self;
        if path.is_empty() {
            write!(f, "{source}: {message}")
        } else {
            write!(f, "{source}: {path}: {message}")
        }
    }
}

fn lines(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
