//! The kernels' text: one source for NVRTC, what it is compiled with, and what it says about itself.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// The files, in the order in which they become one source.
const FILES: [&str; 13] = [
    include_str!("../kernels/common.cu"),
    include_str!("../kernels/norm.cu"),
    include_str!("../kernels/between_loops.cu"),
    include_str!("../kernels/gelu.cu"),
    include_str!("../kernels/column_sums.cu"),
    include_str!("../kernels/adam.cu"),
    include_str!("../kernels/attention.cu"),
    include_str!("../kernels/attention_mma.cu"),
    include_str!("../kernels/scan.cu"),
    include_str!("../kernels/rows.cu"),
    include_str!("../kernels/dots.cu"),
    include_str!("../kernels/few_rows.cu"),
    include_str!("../kernels/losses.cu"),
];

/// How values that only products read are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// As floats.
    F32,
    /// As the upper halves of floats.
    Bf16,
}

impl Storage {
    /// The element of a place that holds such values.
    #[must_use]
    pub const fn element(self) -> crate::Element {
        match self {
            Self::F32 => crate::Element::F32,
            Self::Bf16 => crate::Element::Bf16,
        }
    }
}

/// What the kernels are compiled for: the model's width, the width of an attention head, and the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// Values in a row.
    pub width: usize,
    /// Values of one attention head.
    pub head: usize,
    /// How products' operands are kept.
    pub storage: Storage,
}

impl Source {
    /// The whole source.
    #[must_use]
    pub fn text(&self) -> String {
        joined(&FILES)
    }

    /// The options that NVRTC takes, for an architecture such as `sm_90`.
    #[must_use]
    pub fn options(&self, target: &str) -> Vec<String> {
        let storage = match self.storage {
            Storage::F32 => "float",
            Storage::Bf16 => "bf16",
        };
        let mut options = target_options(target);
        options.extend([
            format!("-DWIDTH={}", self.width),
            format!("-DHEAD={}", self.head),
            format!("-DSTORE={storage}"),
        ]);
        options
    }
}

/// Files as one source.
fn joined(files: &[&str]) -> String {
    let lines = files.iter().flat_map(|file| file.lines());
    let mut text = String::new();
    for line in lines.filter(|line| !line.starts_with("#include") && !line.starts_with("#pragma once")) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn target_options(target: &str) -> Vec<String> {
    vec![format!("--gpu-architecture={target}"), "--std=c++17".to_owned(), "-default-device".to_owned()]
}

/// Kernels that a caller brings.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct OwnSource {
    text: String,
}

impl OwnSource {
    pub(crate) fn new(text: String) -> Self {
        Self { text }
    }
}

/// What a launch's kernel is compiled from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Code {
    /// One of this crate's files, by its place among them. What a file doesn't ask for is the same for all.
    Built(usize, Source),
    /// A caller's.
    Own(Arc<OwnSource>),
}

impl Code {
    /// What one of this crate's kernels is compiled from.
    pub(crate) fn built(kernel: &str, source: Source) -> Self {
        let file = SIGNATURES.get(kernel).map_or(0, |(file, _)| *file);
        let asks = |word: &str| FILES[file].contains(word);
        let width = if asks("<WIDTH>") { source.width } else { 32 };
        let head = if asks("<HEAD>") { source.head } else { 16 };
        let storage = if asks("STORE") { source.storage } else { Storage::F32 };
        Self::Built(file, Source { width, head, storage })
    }

    /// The whole source.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Built(file, _) => joined(&[FILES[0], FILES[*file]]),
            Self::Own(own) => joined(&[FILES[0], &own.text]),
        }
    }

    /// The options that NVRTC takes.
    pub(crate) fn options(&self, target: &str) -> Vec<String> {
        match self {
            Self::Built(_, source) => source.options(target),
            Self::Own(_) => target_options(target),
        }
    }

    /// A kernel as the source declares it.
    pub(crate) fn signature(&self, kernel: &str) -> Option<Signature> {
        match self {
            Self::Built(..) => SIGNATURES.get(kernel).map(|(_, signature)| signature.clone()),
            Self::Own(own) => {
                let mut all = own.text.split("KERNEL(").skip(1).filter_map(signature);
                all.find(|(name, _)| *name == kernel).map(|(_, signature)| signature)
            }
        }
    }
}

/// What a kernel takes in one place of its argument list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A pointer to what it only reads.
    Read,
    /// A pointer to what it writes.
    Write,
    Int,
    Float,
}

/// A kernel as its source declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) threads: u32,
    pub(crate) takes: Vec<Kind>,
}

/// Every kernel by name, with the place of its file.
pub(crate) static SIGNATURES: LazyLock<HashMap<&'static str, (usize, Signature)>> = LazyLock::new(|| {
    // The first file says what KERNEL is.
    let files = FILES.iter().enumerate().skip(1);
    let kernels = files.flat_map(|(i, file)| file.split("KERNEL(").skip(1).map(move |text| (i, text)));
    kernels.filter_map(|(i, text)| signature(text).map(|(name, of)| (name, (i, of)))).collect()
});

/// The value of `constexpr int NAME = value;`.
pub(crate) fn constant(name: &str) -> u32 {
    let start = format!("constexpr int {name} = ");
    let found = FILES.iter().find_map(|file| {
        let (_, rest) = file.split_once(&start)?;
        rest.split_once(';')?.0.parse().ok()
    });
    found.unwrap_or_else(|| panic!("the kernels define no constant {name}"))
}

/// Reads `THREADS) name(parameters) {...`.
fn signature(text: &str) -> Option<(&str, Signature)> {
    let (threads, rest) = text.split_once(')')?;
    let (name, rest) = rest.split_once('(')?;
    let (parameters, _) = rest.split_once(')')?;
    let factor = |word: &str| word.trim().parse().unwrap_or_else(|_| constant(word.trim()));
    let kind = |parameter: &str| match parameter {
        p if p.contains('*') && p.trim_start().starts_with("const") => Kind::Read,
        p if p.contains('*') => Kind::Write,
        p if p.trim_start().starts_with("int") => Kind::Int,
        _ => Kind::Float,
    };
    Some((
        name.trim(),
        Signature {
            threads: threads.split('*').map(factor).product(),
            takes: parameters.split(',').map(kind).collect(),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_read_from_the_source() {
        use Kind::{Float, Int, Read, Write};
        let norm = &SIGNATURES["add_norm"].1;
        assert_eq!(norm.threads, 256);
        assert_eq!(norm.takes, [Read, Read, Read, Read, Write, Write, Int, Int, Float]);
        assert_eq!(SIGNATURES["squared_loss"].1.threads, 1024);
        assert_eq!(SIGNATURES["narrow"].1, Signature { threads: 256, takes: vec![Read, Write, Int] });
        assert_eq!(SIGNATURES.len(), 52);
    }

    #[test]
    fn the_source_includes_nothing() {
        let source = Source { width: 256, head: 32, storage: Storage::Bf16 };
        assert!(!source.text().contains("#include"));
        assert!(source.options("sm_90").contains(&"-DSTORE=bf16".to_owned()));
    }
}
