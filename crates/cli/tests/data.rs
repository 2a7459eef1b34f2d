//! Prompts of the user's own: files that are small, that move, and that are exchanged.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;
use std::path::Path;

use common::{Place, results};
use safetensors::tensor::{Dtype, TensorView};

/// `count` prompts of 5 points with 2 coordinates; y = x_0.
fn write_prompts(path: &Path, count: usize, scale: f32) {
    let xs: Vec<f32> = (0..count * 10).map(|i| scale * ((i * 37 % 19) as f32 - 9.0)).collect();
    let ys: Vec<f32> = xs.chunks(2).map(|x| x[0]).collect();
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let (xs, ys) = (bytes(&xs), bytes(&ys));
    let view = |shape: &[usize], bytes| TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap();
    let tensors = [("xs", view(&[count, 5, 2], &xs)), ("ys", view(&[count, 5], &ys))];
    fs::write(path, safetensors::serialize(tensors, None).unwrap()).unwrap();
}

const DATASET: &str = "task={type=\"dataset\", path=\"data.safetensors\"}";

#[test]
fn a_small_file_is_scored_once_and_said_to_be_trained_on() {
    let place = Place::new();
    write_prompts(&place.path("data.safetensors"), 10, 0.1);
    let ran = place.looped(&["run", "tiny.toml", DATASET, "evaluation.prompts=1280", "--out", "run"]).ok();
    assert!(
        ran.stderr.contains("so scores are of the prompts that the model is trained on"),
        "{}",
        ran.stderr
    );
    let evaluation: serde_json::Value = serde_json::from_str(&place.read("run/eval.json")).unwrap();
    assert_eq!((&evaluation["prompts"], &evaluation["trained_on"]), (&10.into(), &true.into()));
    place.looped(&["probe", "run"]).fails(2, &["the task has 10 prompts to score on", "40 in all"]);
}

#[test]
fn a_finished_run_is_of_use_when_its_data_file_has_moved() {
    let place = Place::new();
    write_prompts(&place.path("data.safetensors"), 40, 0.1);
    for seed in ["3", "4"] {
        let (seed, out) = (format!("seed={seed}"), format!("run-{seed}"));
        place.looped(&["run", "tiny.toml", DATASET, &seed, "--out", &out]).ok();
    }
    fs::rename(place.path("data.safetensors"), place.path("other.safetensors")).unwrap();
    let predict =
        ["predict", "run-3", "--data", "other.safetensors", "--loops", "2", "--out", "p.safetensors"];
    place.looped(&predict).ok();
    place.looped(&["resume", "run-3"]).ok();
    place.looped(&["compare", "run-3", "run-4", "--out", "compared"]).ok();
    // What needs the file says so.
    let told =
        ["run-3/config.toml: task.path: ", "data.safetensors cannot be read", "write its new place there"];
    place.looped(&["eval", "run-3"]).fails(2, &told);
    place.looped(&["probe", "run-3"]).fails(2, &told);
    place.looped(&["resume", "run-3", "evaluation.prompts=8"]).fails(2, &told);
    assert!(place.path("run-3/report.html").is_file(), "what it had is gone");
    for run in ["run-3", "run-3/config.toml"] {
        let checked = place.looped(&["check", run]).ok();
        assert!(checked.stdout.contains("# engine: fused"), "{}", checked.stdout);
        assert!(told.iter().all(|part| checked.stderr.contains(part)), "{}", checked.stderr);
    }
    // As it says.
    let config = place.read("run-3/config.toml");
    fs::write(place.path("run-3/config.toml"), config.replace("data.safetensors", "other.safetensors"))
        .unwrap();
    place.looped(&["eval", "run-3"]).ok();
    place.looped(&["resume", "run-3", "evaluation.prompts=8"]).ok();
    place.looped(&["run", "tiny.toml", DATASET, "--out", "new"]).fails(2, &["task.path: ", "cannot be read"]);
}

/// Every file of a run, `run.json` too.
fn all_of(run: &Path) -> (Vec<(String, Vec<u8>)>, Vec<u8>) {
    (results(run), fs::read(run.join("run.json")).unwrap())
}

#[test]
fn a_run_whose_data_were_exchanged_is_not_resumed_and_keeps_every_file() {
    let place = Place::new();
    let data = place.path("data.safetensors");
    write_prompts(&data, 40, 0.1);
    place.looped(&["run", "tiny.toml", DATASET, "--out", "run"]).ok();
    let run = place.path("run");
    let before = all_of(&run);
    write_prompts(&data, 40, 0.2);
    let told = ["the task's data are others than at the checkpoint of step 12", "put the old file back"];
    for changes in [&["training.train_steps=20"][..], &["evaluation.prompts=8"]] {
        place.looped(&[&["resume", "run"], changes].concat()).fails(2, &told);
        assert!(before == all_of(&run), "{changes:?} was refused, and something was changed");
    }
    // Nor is anything lost that is refused for another reason.
    fs::remove_file(&data).unwrap();
    for changes in [&["training.train_steps=20"][..], &["training.train_steps=4"], &["evaluation.prompts=8"]]
    {
        place.looped(&[&["resume", "run"], changes].concat()).fails(2, &[]);
        assert!(before == all_of(&run), "{changes:?} was refused, and something was changed");
    }
    write_prompts(&data, 40, 0.1);
    place.looped(&["resume", "run", "training.train_steps=20"]).ok();
    assert!(place.path("run/evals/step_0000012.json").is_file());
}
