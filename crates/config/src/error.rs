//! What is wrong with an experiment file, in words that say how to fix it.

use std::fmt;

use crate::place::{Malformed, Place};

/// Why an experiment could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file can't be read, or isn't in its format.
    #[error("{file}{}: {message}", numbers(.place.as_ref()))]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        message: String,
        /// Where, as far as the parser says.
        place: Option<Place>,
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
        Self::File { file: file.to_string(), message: message.into(), place: None }
    }

    pub(crate) fn malformed(file: impl fmt::Display, Malformed { message, place }: Malformed) -> Self {
        Self::File { file: file.to_string(), message, place }
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
    /// Where in the source it is; not known of what no file holds, and of values that were translated.
    pub place: Option<Place>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, path, message, place } = self;
        write!(f, "{source}{}: ", numbers(place.as_ref()))?;
        if path.is_empty() { write!(f, "{message}") } else { write!(f, "{path}: {message}") }
    }
}

/// `:line:column`, as editors and terminals take it for a link; nothing for a place without a line.
fn numbers(place: Option<&Place>) -> String {
    let place = place.filter(|place| place.line > 0);
    place.map_or_else(String::new, |place| format!(":{}:{}", place.line, place.column))
}

fn lines(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
