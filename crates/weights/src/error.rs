//! What can be wrong with a file of weights: one message each, with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// A file of weights that cannot be read, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
#[non_exhaustive]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

impl Error {
    pub(crate) fn new(path: &Path, problem: Problem) -> Self {
        Self { path: path.to_owned(), problem }
    }
}

/// What is wrong with a file of weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The operating system does not give the file's bytes.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// A folder, a pipe or a device.
    #[error("is not a regular file; give the path of a .safetensors or .pt file")]
    NotAFile,
    /// The file does not fit into memory.
    #[error(
        "has {0} bytes, more than there is memory for; save the weights alone, without the optimizer's state"
    )]
    TooLargeForMemory(u64),
    /// A file without a byte in it.
    #[error("is empty; fetch or save it again")]
    Empty,
    /// Neither format's first bytes.
    #[error(
        "holds neither safetensors nor a checkpoint of torch.save; weights are read from .safetensors files and \
         from what torch.save(model.state_dict(), path) writes"
    )]
    Unknown,
    /// A pickle or tar file as torch wrote them before version 1.6.
    #[error(
        "is in the old format of torch.save, without a zip archive; save it again with a current torch: \
         torch.save(torch.load(path, map_location=\"cpu\", weights_only=True), path)"
    )]
    Legacy,
    /// A zip archive with something else in it than a checkpoint of weights.
    #[error("{what}; save the weights with torch.save(model.state_dict(), path)")]
    Unsupported {
        /// What it is instead.
        what: String,
    },
    /// The header of a safetensors file contradicts itself or the file.
    #[error("is not sound safetensors: {what}; the file is damaged or incomplete: fetch or write it again")]
    Safetensors {
        /// What is wrong.
        what: String,
    },
    /// The zip archive of a checkpoint is damaged.
    #[error("is not a sound zip archive: {what}; the file is damaged or incomplete: fetch or save it again")]
    Archive {
        /// What is wrong.
        what: String,
    },
    /// The pickle inside the archive is damaged, or written by something else than `torch.save`.
    #[error(
        "data.pkl, byte {at}: {what}; the file is damaged, or not written by torch.save with its usual protocol: \
         save it again with torch.save(model.state_dict(), path)"
    )]
    Pickle {
        /// Where, from 0.
        at: usize,
        /// What is wrong.
        what: String,
    },
    /// The pickle wants a class or function that a checkpoint of weights has no need of.
    #[error(
        "asks to run {name}; refused, and nothing was run: weights need no code. If you trust the maker of the \
         file, load it in Python and save its weights alone: torch.save(model.state_dict(), path)"
    )]
    Refused {
        /// The module and the name in it.
        name: String,
    },
    /// A tensor cannot be a parameter, or is not where the file says.
    #[error("tensor {name}: {what}")]
    Tensor {
        /// Its name in the file.
        name: String,
        /// What is wrong, and how to fix it.
        what: String,
    },
    /// The file asks for far more memory than it has bytes.
    #[error(
        "{what} asks for {asks} bytes, more than is left of the {limit} that a file of {size} bytes may ask for in \
         all; it is damaged, or made to exhaust the memory: fetch it again, or save the weights alone"
    )]
    TooLarge {
        /// What asks for it.
        what: String,
        /// The bytes it asks for.
        asks: u64,
        /// The file's size.
        size: u64,
        /// What the whole file may ask for.
        limit: u64,
    },
    /// A checkpoint without a state dict in a known place.
    #[error(
        "holds no weights where they are looked for: it is {found}; wanted is a dict with a state dict under \
         \"model\", \"model_state_dict\" or \"state_dict\", or the state dict itself"
    )]
    NoWeights {
        /// What is there instead.
        found: String,
    },
    /// Two tensors have one name once the prefixes are off.
    #[error(
        "has two tensors for the parameter {name}, which differ in the prefix _orig_mod. or module. only; save the \
         state dict of one model"
    )]
    Clash {
        /// The parameter.
        name: String,
    },
}

/// A text out of the file, or of another library about it, as part of a message: control characters escaped, and cut
/// to a length that can be read.
pub(crate) fn line(text: &str) -> String {
    const LONGEST: usize = 160;
    let short: String = text.chars().take(LONGEST).collect();
    let more = if short.len() < text.len() { "..." } else { "" };
    format!("{}{more}", short.escape_debug())
}

/// A name out of the file, quoted.
pub(crate) fn shown(name: &str) -> String {
    format!("`{}`", line(name))
}
