//! `--out` of `predict` and `baselines`: where a file may be written, and where something would be lost by it.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;

use common::Place;
use safetensors::tensor::{Dtype, TensorView};

fn place() -> Place {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "training.train_steps=1", "--out", "run"]).ok();
    let values: Vec<u8> = (0..18).flat_map(|i| (i as f32 * 0.1).to_le_bytes()).collect();
    let tensors = [
        ("xs", TensorView::new(Dtype::F32, vec![2, 3, 2], &values[..48]).unwrap()),
        ("ys", TensorView::new(Dtype::F32, vec![2, 3], &values[48..]).unwrap()),
    ];
    fs::write(place.path("p.st"), safetensors::serialize(tensors, None).unwrap()).unwrap();
    place
}

#[test]
fn nothing_is_overwritten_but_an_earlier_result() {
    let place = place();
    let prompts = fs::read(place.path("p.st")).unwrap();
    fs::write(place.path("preds.st.tmp"), "mine").unwrap();
    let checkpoint = "run/checkpoints/last/model.safetensors";
    let weights = fs::read(place.path(checkpoint)).unwrap();
    let commands: [&[&str]; 2] = [
        &["predict", "run", "--loops", "2", "--data", "p.st", "--out"],
        &["baselines", "--data", "p.st", "--out"],
    ];
    for command in commands {
        let to = |out: &str| place.looped(&[command, &[out]].concat());
        for same in ["p.st", "./p.st", "run/../p.st"] {
            to(same).fails(2, &["--out", "is the file that --data names"]);
        }
        for inside in [checkpoint, "run/checkpoints/preds.st", "run/checkpoints/last/../preds.st"] {
            to(inside).fails(2, &["--out run/checkpoints", "is among a run's checkpoints"]);
        }
        to("run").fails(2, &["--out run", "no regular file"]);
        to("gone/preds.st").fails(1, &["gone/preds.st: cannot create"]);
        to("preds.st").ok();
        to("preds.st").ok();
    }
    assert!(prompts == fs::read(place.path("p.st")).unwrap());
    assert!(weights == fs::read(place.path(checkpoint)).unwrap());
    assert_eq!(place.read("preds.st.tmp"), "mine");
    assert!(
        fs::read_dir(place.path(""))
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().starts_with(".looped-") })
    );
}

#[cfg(unix)]
#[test]
fn links_and_pipes_are_refused() {
    let place = place();
    fs::write(place.path("target"), "data").unwrap();
    std::os::unix::fs::symlink("target", place.path("link")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(place.path("pipe")).status().unwrap();
    assert!(made.success());
    for out in ["link", "pipe"] {
        place
            .looped(&["predict", "run", "--loops", "2", "--data", "p.st", "--out", out])
            .fails(2, &["--out", "is no regular file"]);
        assert!(!place.path(out).symlink_metadata().unwrap().is_file(), "{out}");
    }
    assert_eq!(place.read("target"), "data");
}
