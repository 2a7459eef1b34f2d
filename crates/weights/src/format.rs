//! What a file is, by its content and not by its name.

use std::io::Read;
use std::path::Path;

use crate::{Error, Problem, open};

/// A format that weights come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A header in JSON, and the tensors' bytes.
    Safetensors,
    /// The zip archive that `torch.save` writes since version 1.6.
    TorchZip,
    /// What `torch.save` wrote before: a bare pickle or a tar file. It is known, and not read.
    TorchLegacy,
}

/// As many of a file's first bytes as tell its format.
const HEAD: usize = 512;

impl Format {
    /// The format that a file with these first bytes (512 are enough) claims to have.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        let tar = head.get(257..262) == Some(b"ustar");
        match head {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Self::TorchZip),
            [0x80, 2..=5, ..] => Some(Self::TorchLegacy),
            _ if tar => Some(Self::TorchLegacy),
            // The header's length in eight bytes, and then its opening brace.
            [_, _, _, _, _, _, 0, 0, b'{', ..] => Some(Self::Safetensors),
            _ => None,
        }
    }

    pub(crate) fn claimed(head: &[u8]) -> Result<Self, Problem> {
        let nothing = if head.is_empty() { Problem::Empty } else { Problem::Unknown };
        Self::of(head).ok_or(nothing)
    }
}

/// The format of the file at `path`, or [`Problem::Unknown`] or [`Problem::Empty`].
pub fn detect(path: &Path) -> Result<Format, Error> {
    let head = || -> Result<Vec<u8>, Problem> {
        let mut head = Vec::with_capacity(HEAD);
        open(path)?.0.take(HEAD as u64).read_to_end(&mut head)?;
        Ok(head)
    };
    head().and_then(|head| Format::claimed(&head)).map_err(|problem| Error::new(path, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        assert_eq!(Format::of(b"PK\x03\x04rest"), Some(Format::TorchZip));
        assert_eq!(Format::of(b"\x80\x02\x8a\nl\xfc"), Some(Format::TorchLegacy));
        assert_eq!(Format::of(b"\x10\0\0\0\0\0\0\0{\"a\":"), Some(Format::Safetensors));
        assert_eq!(Format::of(b"\x10\0\0\0\0\0\0\x7f{\"a\":"), None);
        assert_eq!(Format::of(b"import os"), None);
        assert_eq!(Format::of(b""), None);
        let mut tar = vec![b'x'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(Format::of(&tar), Some(Format::TorchLegacy));
    }
}
