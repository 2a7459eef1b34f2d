//! Files that must not be read: each is refused with a message that names it, says what is wrong and what to do.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::path::{Path, PathBuf};

use looped_weights::{Problem, read};

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn message(path: &Path) -> String {
    let message = read(path).expect_err(&path.display().to_string()).to_string();
    assert!(message.starts_with(&format!("{}: ", path.display())), "{message}");
    assert!(!message.contains('\n'), "{message}");
    message
}

/// Asserts that the message about the file `name` holds each of `parts`.
fn says(name: &str, parts: &[&str]) {
    let message = message(&data(name));
    for part in parts {
        assert!(message.contains(part), "{name}: {part:?} is not in {message:?}");
    }
}

#[test]
fn code_is_refused_by_its_name_and_not_run() {
    says("code.pt", &["asks to run `posix.system`; refused, and nothing was run", "save its weights alone"]);
    says(
        "whole_module.pt",
        &["asks to run `__main__.Model`; refused", "torch.save(model.state_dict(), path)"],
    );
    says("sparse.pt", &["asks to run `torch._utils._rebuild_sparse_tensor`; refused"]);
    assert!(!Path::new("pwned").exists());
}

#[test]
fn other_formats_are_named() {
    says(
        "legacy.pt",
        &["old format of torch.save", "save it again with a current torch", "weights_only=True"],
    );
    says("protocol_4.pt", &["data.pkl, byte 0: pickle protocol 4, where torch.save writes 2"]);
    says("program.pt", &["is a program of torch.jit.save"]);
    says("big_endian.pt", &["big-endian"]);
    says("../make_pt.py", &["holds neither safetensors nor a checkpoint of torch.save"]);
}

#[test]
fn weights_elsewhere_are_told_where_to_be() {
    says("elsewhere.pt", &["it is a dict with the keys [`weights`, `epoch`]", "\"model_state_dict\""]);
    says("one_tensor.pt", &["it is no dict at all"]);
    says("not_a_tensor.pt", &["tensor `scale`: is not a tensor"]);
    says("clash.pt", &["two tensors for the parameter `_backbone.transformer.wpe.weight`"]);
}

#[test]
fn parameters_are_floats() {
    says("integers.pt", &["holds no real floating-point numbers", "convert it with .float()"]);
    says("complex.pt", &["holds no real floating-point numbers"]);
}

#[test]
fn sizes_are_held_against_the_file() {
    says(
        "expanded.pt",
        &[
            "tensor `_read_in.bias` asks for 4398046511117 bytes, more than is left of the 287488 that a file of 1584",
        ],
    );
    says("bomb.pt", &["asks for 16777", "made to exhaust the memory"]);
    says("huge.pt", &["its entry `data/0`: 2147483648 bytes are declared, in a file of 1556 bytes"]);
}

#[test]
fn paths_that_are_no_files() {
    assert!(message(&data("absent.pt")).contains("cannot be read: No such file"));
    assert!(message(&data(".")).contains("is not a regular file"));
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pt");
    std::fs::write(&empty, b"").unwrap();
    assert!(message(&empty).contains("is empty"));
    #[cfg(unix)]
    assert!(message(Path::new("/dev/zero")).contains("is not a regular file"));
}

#[test]
fn every_truncation_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["bare.pt", "deflated.pt", "expected.safetensors"] {
        let bytes = std::fs::read(data(name)).unwrap();
        for len in 0..bytes.len() {
            let problem = looped_weights::from_bytes(&bytes[..len]).unwrap_err();
            let damaged = matches!(
                problem,
                Problem::Empty
                    | Problem::Unknown
                    | Problem::Archive { .. }
                    | Problem::Safetensors { .. }
                    | Problem::Unsupported { .. }
            );
            assert!(damaged, "{name} cut to {len} bytes: {problem}");
        }
        let cut = folder.path().join(name);
        std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
        assert!(message(&cut).contains("fetch or "), "{}", message(&cut));
    }
}
