//! Published weights, read without trust.
//!
//! [`read`] takes a `.safetensors` file, or a `.pt`, `.pth`, `.bin` or `.ckpt` file as `torch.save` writes it, and
//! gives back every parameter under the name that the published model has for it, as 32-bit floats.
//!
//! A file of weights comes from elsewhere, and a `.pt` file is a program for Python's pickle machine. So nothing in a
//! file is run, nothing in it names a place on this machine, and what it says of its own size is held against the bytes
//! that are really there before any memory is taken: reading a file takes less than 32 times its size and 1 MiB, whatever
//! it holds, and ends in the weights or in one [`Error`].
//!
//! ```no_run
//! let weights = looped_weights::read("published.pt".as_ref())?;
//! for (name, array) in &weights {
//!     println!("{name}: {:?}", array.shape);
//! }
//! # Ok::<(), looped_weights::Error>(())
//! ```
//!
//! The way of a file: [`Format`] tells from its first bytes what it is; `safetensors` reads the one kind; for the other
//! `torch_zip` opens the archive, `pickle` says which tensors lie in it (asking `globals` about every name), and
//! `view` gathers each tensor's elements from its storage. `names` knows what a parameter is called, and `budget` what
//! a file may cost.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod budget;
mod error;
mod format;
mod globals;
mod kind;
mod names;
mod pickle;
mod safetensors;
mod torch_zip;
mod view;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use error::{Error, Problem};
pub use format::{Format, detect};

/// Parameters by name.
pub type Weights = BTreeMap<String, Array>;

/// A parameter's shape and its elements, the last axis running fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The length of each axis; none for a single number.
    pub shape: Vec<usize>,
    /// As many elements as the axes' lengths multiply to.
    pub data: Vec<f32>,
}

/// The weights in the file at `path`, whichever of the known formats it has.
///
/// Half, brain and double floats become 32-bit ones. The prefixes of `torch.compile` (`_orig_mod.`) and of
/// `torch.nn.DataParallel` (`module.`) are taken off the names, and GPT-2's constant attention masks are left out.
pub fn read(path: &Path) -> Result<Weights, Error> {
    contents(path).and_then(|bytes| from_bytes(&bytes)).map_err(|problem| Error::new(path, problem))
}

/// The weights in a file's bytes; as [`read`].
pub fn from_bytes(bytes: &[u8]) -> Result<Weights, Problem> {
    match Format::claimed(bytes)? {
        Format::Safetensors => safetensors::read(bytes),
        Format::TorchZip => torch_zip::read(bytes),
        Format::TorchLegacy => Err(Problem::Legacy),
    }
}

/// The bytes of a regular file: no more than it had when it was opened.
fn contents(path: &Path) -> Result<Vec<u8>, Problem> {
    let (file, len) = open(path)?;
    let mut bytes = Vec::new();
    let room = usize::try_from(len).ok().and_then(|len| bytes.try_reserve_exact(len).ok());
    room.ok_or(Problem::TooLargeForMemory(len))?;
    file.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A regular file and its length. Anything else could go on for ever, or never begin.
fn open(path: &Path) -> Result<(File, u64), Problem> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(Problem::NotAFile);
    }
    Ok((File::open(path)?, metadata.len()))
}
