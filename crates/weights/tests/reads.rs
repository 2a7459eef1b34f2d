//! One small model, as `tests/make_pt.py` saved it in every form that PyTorch has, is read back the same from each.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::path::PathBuf;

use looped_weights::{Format, Weights, detect, read};

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The weights that every file holds, taken out of their file by the `safetensors` crate and not by ours.
fn expected() -> Weights {
    let bytes = std::fs::read(data("expected.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let array = |tensor: safetensors::tensor::TensorView| looped_weights::Array {
        shape: tensor.shape().to_vec(),
        data: tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
    };
    tensors.iter().map(|(name, tensor)| (name.to_owned(), array(tensor))).collect()
}

fn check(names: &[&str]) {
    names.iter().for_each(|name| check_one(name));
}

fn check_one(name: &str) {
    let weights = read(&data(name)).unwrap_or_else(|error| panic!("{error}"));
    let expected = expected();
    assert!(weights.keys().eq(expected.keys()), "{name}: {:?}", weights.keys());
    for (parameter, array) in &expected {
        assert_eq!(&weights[parameter], array, "{name}: {parameter}");
    }
}

#[test]
fn the_expected_weights_are_not_trivial() {
    let expected = expected();
    assert_eq!(expected.len(), 8);
    assert_eq!(expected["_backbone.transformer.h.0.attn.c_attn.weight"].shape, [12, 4]);
    assert_eq!(expected["_read_out.bias"].shape, [1]);
    assert!(expected.values().flat_map(|array| &array.data).any(|x| x.fract() != 0.0));
}

#[test]
fn checkpoints_and_bare_state_dicts() {
    check(&["model.pt", "model_state_dict.pt", "state_dict.pt", "bare.pt", "dict.pt"]);
}

#[test]
fn prefixes_of_compile_and_data_parallel() {
    check(&["orig_mod.pt", "module.pt"]);
}

#[test]
fn other_kinds_of_float() {
    check(&["half.pt", "brain.pt", "double.pt"]);
}

#[test]
fn views_of_storages() {
    check(&["transposed.pt", "shared.pt"]);
}

#[test]
fn masks_are_left_out_and_parameters_unwrapped() {
    check(&["masks.pt", "parameters.pt"]);
}

#[test]
fn what_else_a_checkpoint_holds_is_skipped() {
    check(&["notes.pt"]);
}

#[test]
fn a_compressed_archive() {
    check(&["deflated.pt"]);
}

#[test]
fn safetensors_of_each_kind() {
    check(&["expected.safetensors", "half.safetensors", "brain.safetensors", "double_masks.safetensors"]);
}

#[test]
fn the_name_of_the_file_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [("model.pt", "weights.safetensors"), ("expected.safetensors", "weights.bin")] {
        let copy = folder.path().join(to);
        std::fs::copy(data(from), &copy).unwrap();
        assert_eq!(read(&copy).unwrap(), expected(), "{from}");
    }
    assert_eq!(detect(&folder.path().join("weights.safetensors")).unwrap(), Format::TorchZip);
    assert_eq!(detect(&folder.path().join("weights.bin")).unwrap(), Format::Safetensors);
    assert_eq!(detect(&data("legacy.pt")).unwrap(), Format::TorchLegacy);
}
