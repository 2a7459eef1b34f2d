//! Why a server didn't take something.

use std::path::PathBuf;

/// What went wrong with one request, or with a file that was to be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// No answer, or one that says: later.
    #[error("{0}")]
    Away(String),
    /// An answer that says no: the same request will not do better.
    #[error("the server answers {status}: {message}")]
    Refused {
        /// The status, as in 404.
        status: u16,
        /// MLflow's name of it, as in `RESOURCE_DOES_NOT_EXIST`; empty where the answer isn't MLflow's.
        code: String,
        /// The server's words.
        message: String,
    },
    /// An answer that isn't MLflow's.
    #[error("the answer of {0} is not that of an MLflow server")]
    NotMlflow(String),
    /// A file of the run's directory, or of a folder of artifacts.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl Problem {
    /// Whether an MLflow server says that there is no such thing; any other server answers 404 to our addresses, too.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "RESOURCE_DOES_NOT_EXIST")
    }

    /// Whether the server understood, and will not take what it was sent.
    pub(crate) fn is_of_content(&self) -> bool {
        matches!(self, Self::Refused { status: 400 | 404 | 413 | 422, .. })
    }

    pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Problem>;
