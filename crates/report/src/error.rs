//! What can go wrong when writing.

use std::path::{Path, PathBuf};

/// A figure that could not be drawn, or a file that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused; the message names the file.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder concerned.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The SVG could not be turned into pixels.
    #[error("cannot draw the figure `{title}` as PNG: {reason}")]
    Render {
        /// The figure's title.
        title: String,
        /// What the rasteriser said.
        reason: String,
    },
}

impl Error {
    /// For `map_err`: an error of the system at `path`.
    pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
