//! A checkpoint is a copy, a restore is whole or nothing, and what can't be continued is refused.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::{experiment, tiny, trainer};
use looped_train::{Checkpoint, RunDir, Trainer, encode, train, write_atomically};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn weights(trainer: &Trainer) -> Vec<u8> {
    encode(&trainer.model().values().unwrap()).unwrap()
}

#[test]
fn steps_after_a_checkpoint_do_not_change_it() {
    for engine in ["fused", "candle"] {
        let mut table = tiny();
        table["training"]["engine"] = engine.into();
        let mut trainer = trainer(table);
        trainer.step().unwrap();
        let (kept, before) = (trainer.checkpoint().unwrap(), weights(&trainer));
        let first = trainer.step().unwrap();
        let after = weights(&trainer);
        assert_ne!(before, after);
        assert!(encode(&kept.model).unwrap() == before, "{engine}: the checkpoint moved with the weights");

        trainer.restore(&kept).unwrap();
        assert_eq!(trainer.steps_done(), 1);
        assert!(weights(&trainer) == before);
        assert_eq!(trainer.step().unwrap(), first, "{engine}");
        assert!(weights(&trainer) == after, "{engine}: the same step leads elsewhere after a restore");
        // The checkpoint can be used again and again.
        trainer.restore(&kept).unwrap();
        assert_eq!(trainer.step().unwrap(), first, "{engine}");
    }
}

#[test]
fn a_restore_that_is_refused_changes_nothing() {
    let mut trainer = trainer(tiny());
    let good = trainer.checkpoint().unwrap();
    (0..3).for_each(|_| _ = trainer.step().unwrap());
    let (before, state) = (weights(&trainer), trainer.checkpoint().unwrap());
    let mut refuses = |change: &dyn Fn(&mut Checkpoint), part: &str| {
        let mut bad = good.clone();
        change(&mut bad);
        let message = trainer.restore(&bad).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
        assert!(weights(&trainer) == before && trainer.steps_done() == 3, "{part}");
        let now = trainer.checkpoint().unwrap();
        assert!(encode(&now.optimizer).unwrap() == encode(&state.optimizer).unwrap(), "{part}");
        assert_eq!(now.state, state.state);
    };
    // The last moment in name order: the others come before it is found to be missing.
    refuses(
        &|bad| drop(bad.optimizer.remove("second._read_out.weight")),
        "moment second._read_out.weight is missing",
    );
    let of_one = |bad: &Checkpoint| bad.optimizer["first._read_out.bias"].clone();
    refuses(
        &|bad| drop(bad.optimizer.insert("first.other".to_owned(), of_one(bad))),
        "moment first.other belongs to",
    );
    refuses(&|bad| drop(bad.model.remove("_read_out.weight")), "_read_out.weight is missing");
    refuses(&|bad| bad.state.generator.seed = 4, "the checkpoint's seed is 4, the experiment's 3");
    refuses(&|bad| bad.state.step = 13, "training.train_steps: is 12, and 13 steps are done");
}

/// Writes a checkpoint's state anew, with the checksum that fits it.
fn rewrite(place: &Path, change: impl FnOnce(&mut Value)) {
    let path = place.join("state.json");
    let mut state: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut state);
    fs::write(&path, serde_json::to_vec_pretty(&state).unwrap()).unwrap();
    let sums: BTreeMap<&str, String> = ["model.safetensors", "optimizer.safetensors", "state.json"]
        .into_iter()
        .map(|name| {
            let sum = Sha256::digest(fs::read(place.join(name)).unwrap());
            (name, sum.iter().map(|byte| format!("{byte:02x}")).collect())
        })
        .collect();
    let text: String = sums.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect();
    write_atomically(&place.join("SHA256SUMS"), text.as_bytes()).unwrap();
}

#[test]
fn a_state_that_cannot_be_continued_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("checkpoint");
    let mut trainer = trainer(tiny());
    (0..2).for_each(|_| _ = trainer.step().unwrap());
    let refuses = |key: &[&str], value: Value, part: &str| {
        trainer.checkpoint().unwrap().write(&place).unwrap();
        assert!(Checkpoint::read(&place).is_ok());
        rewrite(&place, |state| {
            let table = key.iter().fold(state, |table, key| &mut table[*key]);
            *table = value;
        });
        let message = Checkpoint::read(&place).unwrap_err().to_string();
        assert!(message.contains("checkpoint/state.json: ") && message.contains(part), "{message}");
    };
    refuses(&["format"], json!(2), "format is 2, and this version of looped reads format 1");
    refuses(
        &["generator", "algorithm"],
        json!("mt19937"),
        "generator.algorithm is \"mt19937\", expected \"chacha8\"",
    );
    refuses(&["generator", "next_stream"], json!(77), "generator.next_stream is 77, expected step, 2");
    refuses(&["optimizer_updates"], json!(0), "optimizer_updates is 0, expected step, 2");
    refuses(&["step"], json!(999), "generator.next_stream is 2, expected step, 999");
}

/// A later format may have other keys: its number is what the message must be about.
#[test]
fn a_later_format_is_told_from_damage() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("checkpoint");
    trainer(tiny()).checkpoint().unwrap().write(&place).unwrap();
    rewrite(&place, |state| *state = json!({ "format": 2, "clock": "new" }));
    let message = Checkpoint::read(&place).unwrap_err().to_string();
    assert!(
        message.contains("format is 2") && message.contains("use the version that wrote it"),
        "{message}"
    );
}

/// Kept checkpoints can be many and large, and are no news where a newer one is good.
#[test]
fn the_search_for_the_newest_checkpoint_ends_at_the_first_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::create(&folder.path().join("run"), "name = \"tiny\"\n").unwrap();
    train(&mut trainer(tiny()), &run, &mut ()).unwrap();
    let checkpoints = folder.path().join("run/checkpoints");
    fs::write(checkpoints.join("step_0000010/model.safetensors"), "damaged").unwrap();
    fs::write(checkpoints.join("previous/state.json"), "damaged").unwrap();
    fs::create_dir(checkpoints.join("notes of mine")).unwrap();
    let (checkpoint, place, bad) = run.checkpoints().newest_good().unwrap();
    assert!(place.ends_with("last") && checkpoint.state.step == 12);
    assert!(bad.is_empty(), "{bad:?}");
    // Behind a damaged newest one they are looked at, and told.
    fs::write(checkpoints.join("last/state.json"), "damaged").unwrap();
    let message = run.checkpoints().newest_good().unwrap_err().to_string();
    for part in ["last/state.json", "step_0000010/model.safetensors", "previous/state.json"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_trainer_of_the_library_starts_from_pretrained_weights() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = trainer(tiny());
    first.step().unwrap();
    let path = folder.path().join("weights.safetensors");
    fs::write(&path, weights(&first)).unwrap();
    let mut table = tiny();
    table["model"]["pretrained_path"] = path.to_str().into();
    table["seed"] = 99.into();
    let begun = trainer(table.clone());
    assert!(weights(&begun) == weights(&first));
    let kept = begun.checkpoint().unwrap();

    // A run that is resumed from a checkpoint needs them no longer.
    fs::remove_file(&path).unwrap();
    let device = candle_core::Device::Cpu;
    let message = Trainer::new(experiment(table.clone()), &device).err().unwrap().to_string();
    assert!(message.contains("weights.safetensors: cannot be read"), "{message}");
    let resumed = Trainer::resumed(experiment(table.clone()), &device, &kept).unwrap();
    assert!(weights(&resumed) == weights(&first));

    let mut wider = trainer({
        let mut table = tiny();
        table["model"]["n_embd"] = 16.into();
        table
    });
    wider.step().unwrap();
    fs::write(&path, weights(&wider)).unwrap();
    let message = Trainer::new(experiment(table), &device).err().unwrap().to_string();
    assert!(message.contains("weights.safetensors: ") && message.contains("has shape [16"), "{message}");
}

/// One prompt file, and another of the same shape.
fn prompt_file(path: &Path, first: f32) {
    let (xs, ys) = ([first; 8 * 5 * 2], [0.5f32; 8 * 5]);
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let (xs, ys) = (bytes(&xs), bytes(&ys));
    let view = |shape: &[usize], bytes| TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap();
    let tensors = [("xs", view(&[8, 5, 2], &xs)), ("ys", view(&[8, 5], &ys))];
    fs::write(path, safetensors::serialize(tensors, None).unwrap()).unwrap();
}

#[test]
fn a_data_file_exchanged_between_stop_and_resume_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (data, place) = (folder.path().join("data.safetensors"), folder.path().join("checkpoint"));
    prompt_file(&data, 1.0);
    let mut table = tiny();
    table["task"] = json!({ "type": "dataset", "path": data });
    let mut first = trainer(table.clone());
    first.step().unwrap();
    first.checkpoint().unwrap().write(&place).unwrap();
    let kept = Checkpoint::read(&place).unwrap();
    let device = candle_core::Device::Cpu;
    let resumed = || Trainer::resumed(experiment(table.clone()), &device, &kept).unwrap();
    assert_eq!(resumed().step().unwrap(), first.step().unwrap());

    prompt_file(&data, 2.0);
    let mut exchanged = resumed();
    let message = exchanged.step().unwrap_err().to_string();
    assert!(
        message.contains("data are others than at the checkpoint of step 1: their SHA-256 was"),
        "{message}"
    );
    assert_eq!(exchanged.steps_done(), 1);
    // What was trained can still be asked, without any file.
    fs::remove_file(&data).unwrap();
    assert!(weights(&resumed()) == encode(&kept.model).unwrap());
}
