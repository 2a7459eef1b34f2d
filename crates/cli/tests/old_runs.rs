//! Runs that an older program began are resumed to the same result: `old_runs/make.sh` made them.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::Place;
use safetensors::SafeTensors;
use serde_json::Value;

fn old_runs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/old_runs")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { copy(&from, &to) } else { fs::copy(from, to).map(drop).unwrap() }
    }
}

/// Step, loss and validation loss of each record.
fn losses(text: &str) -> Vec<[f64; 3]> {
    let record = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        ["step", "loss", "validation_loss_last_stage"].map(|key| record[key].as_f64().unwrap())
    };
    text.lines().map(record).collect()
}

/// Each parameter's values, by name.
fn weights(file: &Path) -> Vec<(String, Vec<f32>)> {
    let bytes = fs::read(file).unwrap();
    let mut weights: Vec<(String, Vec<f32>)> = SafeTensors::deserialize(&bytes)
        .unwrap()
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let values =
                view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
            (name, values.collect())
        })
        .collect();
    weights.sort_by(|a, b| a.0.cmp(&b.0));
    weights
}

fn close(a: f64, b: f64, relative: f64) -> bool {
    (a - b).abs() <= relative * b.abs().max(1e-3)
}

#[test]
fn an_old_run_of_every_kind_is_resumed_to_what_its_own_program_made_of_it() {
    let place = Place::new();
    for entry in fs::read_dir(old_runs()).unwrap() {
        let old = entry.unwrap().path();
        if !old.is_dir() {
            continue;
        }
        let name = old.file_name().unwrap().to_str().unwrap();
        copy(&old, &place.path(name));
        place.looped(&["resume", name]).ok();

        let of = |file: &str| losses(&place.read(&format!("{name}/{file}")));
        let (found, expected) = (of("metrics.jsonl"), of("after_20_steps.jsonl"));
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            // Other processors round otherwise.
            let same = found.iter().zip(expected).all(|(found, expected)| close(*found, *expected, 1e-5));
            assert!(same, "{name}: {found:?}, expected {expected:?}");
        }
        let found = weights(&place.path(&format!("{name}/checkpoints/last/model.safetensors")));
        let expected = weights(&old.join("after_20_steps.safetensors"));
        assert!(found.iter().map(|(name, _)| name).eq(expected.iter().map(|(name, _)| name)), "{name}");
        for ((parameter, found), (_, expected)) in found.iter().zip(&expected) {
            // Adam moves a parameter by up to the learning rate, 1e-3 a step, whatever its gradient.
            let apart = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart <= 1e-4, "{name}: {parameter} is {apart:e} apart");
        }
    }
}
