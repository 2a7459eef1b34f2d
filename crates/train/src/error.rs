//! What can go wrong in a run.

use std::path::{Path, PathBuf};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The model or its data.
    #[error(transparent)]
    Core(#[from] looped_core::Error),
    /// A run's own config.
    #[error(transparent)]
    Config(#[from] looped_config::ConfigError),
    /// A tensor operation outside the model.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A file or folder could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file's contents are not what they should be.
    #[error("{path}: {message}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and how to fix it.
        message: String,
    },
    /// The run can't start where it was asked to.
    #[error("{0}")]
    Refused(String),
    /// An [`Observer`](crate::Observer) failed.
    #[error("{0}")]
    Observer(String),
    /// The loss or the gradient stopped being a number.
    #[error(
        "{what} is {value} at step {step}{row}, and would be again: the parameters before this step are kept; begin a new run \
         with a lower training.learning_rate, or with training.gradient_clip = 1.0{first}",
        row = in_a_row(*before),
        first = first.as_deref().map(|first| format!("\nthe first numbers that aren't finite: {first}")).unwrap_or_default()
    )]
    NonFinite {
        /// `the loss` or `the gradient's norm`.
        what: &'static str,
        /// The value.
        value: f64,
        /// The step, from 0.
        step: usize,
        /// Steps right before it that were passed over for the same reason.
        before: usize,
        /// What gives the first number that isn't finite, where the model is recorded and computing forward is enough to see it.
        first: Option<String>,
    },
    /// Another of the processes that train the model together is gone.
    #[error("step {step}: another rank doesn't answer; it has ended, or its machine can't be reached")]
    LostRank {
        /// The step, from 0.
        step: usize,
    },
    /// A checkpoint can't be used, and no other could either.
    #[error("no usable checkpoint in {path}:\n{reasons}", path = path.display())]
    NoCheckpoint {
        /// The checkpoints' folder.
        path: PathBuf,
        /// One line for each that was tried.
        reasons: String,
    },
}

/// As in `, after 3 steps in a row that training.skip_non_finite has passed over`.
fn in_a_row(before: usize) -> String {
    match before {
        0 => String::new(),
        1 => ", after 1 step that training.skip_non_finite has passed over".to_owned(),
        n => format!(", after {n} steps in a row that training.skip_non_finite has passed over"),
    }
}

/// A file or folder that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: cannot {action}: {source}", path = path.display())]
pub struct FileError {
    /// What was to be done, as in `write`.
    pub action: &'static str,
    /// Where.
    pub path: PathBuf,
    /// What the system said.
    pub source: std::io::Error,
}

/// The result of this crate's functions.
pub type Result<T, E = TrainError> = std::result::Result<T, E>;

/// Adds to an I/O error what was done, and where.
pub trait At<T> {
    /// `action` is as in `write`.
    ///
    /// # Errors
    /// The same error with these words.
    fn at(self, action: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError { action, path: path.to_owned(), source })
    }
}
