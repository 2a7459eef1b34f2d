//! How a command fails, and with which exit code.

use std::fmt::Display;

use looped_config::ConfigError;

use crate::{stop, terminal};

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A bad config or argument: exit code 2.
    Usage(String),
    /// A config with mistakes: exit code 2.
    Config(Box<ConfigError>),
    /// A run that went wrong: exit code 1.
    Failed(String),
    /// Stopped by a signal, after saving: exit code 128 and the signal's number, as in 130 for Ctrl-C.
    Stopped,
}

/// More of a message than anybody reads; a damaged file can be quoted at any length.
const LONGEST: usize = 8000;

impl Failure {
    pub(crate) fn usage(message: impl Display) -> Self {
        Self::Usage(message.to_string())
    }

    pub(crate) fn failed(message: impl Display) -> Self {
        Self::Failed(message.to_string())
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) | Self::Config(_) => 2,
            Self::Stopped => stop::exit_code(),
        }
    }

    /// Tells the user, unless the command has done so.
    pub(crate) fn tell(&self) {
        match self {
            Self::Usage(message) | Self::Failed(message) => eprintln!("error: {}", shortened(message)),
            Self::Config(error) => terminal::say_config_error(error),
            Self::Stopped => {}
        }
    }
}

/// The beginning of a very long text.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text.to_owned(),
    }
}

/// What commands return.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}

impl From<looped_train::TrainError> for Failure {
    fn from(error: looped_train::TrainError) -> Self {
        match error {
            looped_train::TrainError::Core(error) => error.into(),
            looped_train::TrainError::Config(error) => error.into(),
            looped_train::TrainError::Refused(_) => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}

impl From<looped_study::StudyError> for Failure {
    fn from(error: looped_study::StudyError) -> Self {
        use looped_study::StudyError;
        match error {
            StudyError::Train(error) => error.into(),
            StudyError::Core(error) => error.into(),
            StudyError::Config(error) => error.into(),
            StudyError::Refused(_) | StudyError::Content { .. } => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}

impl From<stop::NotListening> for Failure {
    fn from(stop::NotListening(why): stop::NotListening) -> Self {
        Self::Failed(why)
    }
}

impl From<looped_core::Error> for Failure {
    fn from(error: looped_core::Error) -> Self {
        match error {
            looped_core::Error::Stopped => Self::Stopped,
            error => Self::failed(error),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test is a panic")]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_somewhere() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"ä".repeat(LONGEST + 1)).chars().count(), LONGEST + 4);
    }
}
