//! Whatever the file of prompts holds that commands read, the answer is a result or a message.
//!
//! `PROPTEST_CASES=100000 cargo test -p cli --lib never_panics` makes a campaign of it.

#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::fs;

use looped_train::encode;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::data::read_prompts;

/// A file of prompts.
fn prompts() -> Vec<u8> {
    let tensor = |shape: &[usize]| {
        candle_core::Tensor::ones(shape, candle_core::DType::F32, &candle_core::Device::Cpu)
    };
    let tensors = [("xs", tensor(&[2, 3, 2])), ("ys", tensor(&[2, 3]))];
    encode(&tensors.map(|(name, tensor)| (name.to_owned(), tensor.unwrap())).into()).unwrap()
}

proptest! {
    #[test]
    fn prompt_files(edits in vec((any::<Index>(), any::<u8>()), 0..4), cut in any::<Index>(), is_cut in prop::bool::weighted(0.2)) {
        let mut bytes = prompts();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("prompts.safetensors");
        fs::write(&path, bytes).unwrap();
        let _ = read_prompts(&path);
    }
}
