//! How a command fails, and with which exit code.

use std::fmt::Display;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A bad config or argument: exit code 2.
    Usage(String),
    /// A run that went wrong: exit code 1.
    Failed(String),
    /// Stopped by a signal, after saving: exit code 130.
    Interrupted,
}

impl Failure {
    pub(crate) fn usage(message: impl Display) -> Self {
        Self::Usage(message.to_string())
    }

    pub(crate) fn failed(message: impl Display) -> Self {
        Self::Failed(message.to_string())
    }

    pub(crate) const fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Interrupted => 130,
        }
    }
}

/// What commands return.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl From<looped_train::TrainError> for Failure {
    fn from(error: looped_train::TrainError) -> Self {
        match error {
            looped_train::TrainError::Refused(_) | looped_train::TrainError::Config(_) => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}

impl From<looped_study::StudyError> for Failure {
    fn from(error: looped_study::StudyError) -> Self {
        use looped_study::StudyError;
        match error {
            StudyError::Train(error) => error.into(),
            StudyError::Refused(_) | StudyError::Config(_) | StudyError::Content { .. } => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}

impl From<looped_core::Error> for Failure {
    fn from(error: looped_core::Error) -> Self {
        Self::failed(error)
    }
}
