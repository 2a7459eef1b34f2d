//! Prompts in a safetensors file: `xs` (N, n, d) and `ys` (N, n), f32 or f64.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use looped_core::Prompts;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

/// Longer headers than any file of prompts has.
const LONGEST_HEADER: u64 = 100_000_000;

/// A file's prompts, and what tells it from other files.
#[derive(Debug)]
pub(crate) struct PromptFile {
    pub(crate) prompts: Prompts,
    /// As `sha256sum` prints it.
    pub(crate) sha256: String,
}

impl PromptFile {
    /// Reads every prompt of a file. The message of a failure says what is wrong, not with which file.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let bytes = bytes(path)?;
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { prompts: prompts(&bytes)?, sha256 })
    }
}

/// Reads every prompt of a safetensors file: `xs` (N, n, d) and `ys` (N, n), f32 or f64, and finite.
///
/// # Errors
/// If it can't be read or holds something else; the message says what is wrong, not with which file.
pub fn read(path: &Path) -> Result<Prompts, String> {
    prompts(&bytes(path)?)
}

fn prompts(bytes: &[u8]) -> Result<Prompts, String> {
    let file =
        SafeTensors::deserialize(bytes).map_err(|error| format!("is not a safetensors file: {error}"))?;
    let (xs, ys) = (tensor(&file, "xs", 3)?, tensor(&file, "ys", 2)?);
    let &[prompts, points, n_dims] = xs.shape() else { return Err(rank("xs", 3, xs.shape())) };
    if ys.shape() != [prompts, points] {
        return Err(format!(
            "xs has shape {:?} and ys {:?}; ys must have shape {:?}, a y for every x",
            xs.shape(),
            ys.shape(),
            [prompts, points]
        ));
    }
    if prompts == 0 || points == 0 || n_dims == 0 {
        return Err(format!("is empty: xs has shape {:?}", xs.shape()));
    }
    Ok(Prompts::pairs(finite("xs", &xs)?, finite("ys", &ys)?, [prompts, points, n_dims]))
}

/// The whole file. What doesn't begin as a safetensors file, and may have no end, is read no further.
fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error| format!("cannot be read: {error}");
    let mut file = File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.by_ref().take(8).read_to_end(&mut bytes).map_err(cannot)?;
    let header = <[u8; 8]>::try_from(&bytes[..]).map_or(0, u64::from_le_bytes);
    if !(2..=LONGEST_HEADER).contains(&header) {
        return Err("is not a safetensors file".to_owned());
    }
    file.read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}

fn tensor<'a>(file: &SafeTensors<'a>, name: &str, expected_rank: usize) -> Result<TensorView<'a>, String> {
    let Ok(tensor) = file.tensor(name) else {
        let mut names = file.names();
        names.sort_unstable();
        let found = if names.is_empty() { "nothing".into() } else { names.join(", ") };
        return Err(format!(
            "has no tensor `{name}`; it needs xs (N, n, d) and ys (N, n), and holds {found}"
        ));
    };
    if !matches!(tensor.dtype(), Dtype::F32 | Dtype::F64) {
        return Err(format!("{name} has type {:?}, expected F32 or F64", tensor.dtype()));
    }
    if tensor.shape().len() != expected_rank {
        return Err(rank(name, expected_rank, tensor.shape()));
    }
    Ok(tensor)
}

fn rank(name: &str, expected: usize, shape: &[usize]) -> String {
    format!("{name} has shape {shape:?}, expected {expected} axes")
}

/// The values of a tensor, if all are finite. NumPy's own f64 is rounded.
fn finite(name: &str, tensor: &TensorView<'_>) -> Result<Vec<f32>, String> {
    let values: Vec<f32> = if tensor.dtype() == Dtype::F64 {
        tensor.data().as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes) as f32).collect()
    } else {
        tensor.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    };
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(flat) => Err(format!(
            "{name}{:?} is {}; every value must be finite",
            index(flat, tensor.shape()),
            values[flat]
        )),
    }
}

/// The index along each axis of a row-major position.
fn index(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (i, size) in index.iter_mut().zip(shape).rev() {
        *i = flat % size;
        flat /= size;
    }
    index
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;
    use safetensors::tensor::TensorView;

    use super::*;

    proptest! {
        /// `PROPTEST_CASES=100000 cargo test -p looped-tasks --lib never_panics` makes a campaign of it.
        #[test]
        fn never_panics(changes in vec((any::<Index>(), any::<u8>()), 0..4), end in any::<Index>(), cut in prop::bool::weighted(0.2)) {
            let floats = [0; 48];
            let view = |shape: &[usize]| {
                let length = 4 * shape.iter().product::<usize>();
                TensorView::new(Dtype::F32, shape.to_vec(), &floats[..length]).unwrap()
            };
            let mut bytes = safetensors::serialize([("xs", view(&[2, 3, 2])), ("ys", view(&[2, 3]))], None).unwrap();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if cut {
                bytes.truncate(end.index(bytes.len()));
            }
            let _ = prompts(&bytes);
        }
    }
}
