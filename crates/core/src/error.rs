//! What can go wrong while a model is built or run.

use crate::Problems;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation failed; the message names the operation and the shapes.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A config asks for something that cannot be built.
    #[error("{0}")]
    Config(Problems),
    /// A part's code records something that can't be: the message has the operation, its shapes and the place in the code.
    #[error("{0}")]
    Recording(#[from] looped_graph::TraceError),
    /// Parameters given to the model do not fit it.
    #[error("parameters: {0}")]
    Parameters(String),
    /// A device that was asked for cannot be used.
    #[error("{0}")]
    Device(String),
    /// Data given to the model cannot be used.
    #[error("data: {0}")]
    Data(String),
    /// The [`Watch`](crate::Watch) of long work wanted it to stop.
    #[error("stopped")]
    Stopped,
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
