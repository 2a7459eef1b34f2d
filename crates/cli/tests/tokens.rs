//! A task of tokens from its experiment file to its report.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;

use common::Place;
use serde_json::Value;

const PARITY: &str = r#"
name = "parity"
seed = 3

[task]
type = "parity"

[model]
n_dims = 1
n_positions = 6
n_embd = 8
n_layer = 1
positions = "none"
embed = { type = "vocabulary", size = 2 }
head = { type = "classes", count = 2 }

[model.block]
type = "lstm"

[model.injector]
type = "full"

[training]
batch_size = 32
learning_rate = 2e-2
train_steps = 400
n_loop_window = 3
save_every_steps = 200

[training.curriculum]
dims = 1
points = 6
loops = 3

[evaluation]
prompts = 64
"#;

fn place() -> Place {
    let place = Place::new();
    fs::write(place.path("parity.toml"), PARITY).unwrap();
    place
}

fn evaluation(place: &Place, file: &str) -> Value {
    serde_json::from_str(&place.read(file)).unwrap()
}

#[test]
fn parity_is_learnt_and_scored_at_every_length_after_every_loop() {
    let place = place();
    place.looped(&["run", "parity.toml", "-o", "run"]).ok();
    let found = evaluation(&place, "run/eval.json");
    assert_eq!(found["score"], "accuracy");
    let by_length = found["by_length"].as_array().unwrap();
    assert!(by_length.len() == 3 && by_length.iter().all(|row| row.as_array().unwrap().len() == 6));
    // An LSTM needs no more than a state of one bit.
    let mean = found["curves"]["model"]["mean"].as_array().unwrap();
    assert!(mean.iter().all(|score| score.as_f64().unwrap() > 0.9), "{mean:?}");
    assert_eq!(by_length[2].as_array().unwrap(), mean);
    assert_eq!(found["curves"].as_object().unwrap().len(), 1, "baselines are for points");
    assert!(place.read("run/config.toml").contains("baselines = []"));
    let report = place.read("run/report.html");
    assert!(report.contains(">length</text>"), "an axis of lengths");
    assert!(place.path("run/plots/by_length.svg").is_file());
    let table = place.looped(&["eval", "run"]).ok().stdout;
    assert!(table.contains("length  model"), "{table}");
}

#[test]
fn both_engines_learn_it_alike_and_a_stopped_run_is_resumed_to_the_same_bits() {
    let place = place();
    let steps = |steps: &str| format!("training.train_steps={steps}");
    for (engine, out) in [("fused", "fused"), ("candle", "candle")] {
        let engine = format!("training.engine={engine}");
        place.looped(&["run", "parity.toml", "-o", out, &engine, &steps("40")]).ok();
    }
    let loss = |run: &str| {
        let metrics = place.read(&format!("{run}/metrics.jsonl"));
        let last: Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
        last["loss"].as_f64().unwrap()
    };
    assert!((loss("fused") / loss("candle") - 1.0).abs() < 1e-3, "{} {}", loss("fused"), loss("candle"));
    place.looped(&["run", "parity.toml", "-o", "parts", "training.engine=fused", &steps("20")]).ok();
    place.looped(&["resume", "parts", &steps("40")]).ok();
    let weights = |run: &str| fs::read(place.path(run).join("checkpoints/last/model.safetensors")).unwrap();
    assert!(weights("parts") == weights("fused"));
}

#[test]
fn ends_that_do_not_fit_the_task_are_refused() {
    let place = place();
    let fails = |file: &str, change: &str, parts: &[&str]| {
        place.looped(&["check", file, change]).fails(2, parts);
    };
    fails(
        "parity.toml",
        "model.embed={type=\"linear\"}",
        &["model.embed", "`parity` has 2 different tokens", "vocabulary"],
    );
    fails("parity.toml", "model.head={type=\"scalar\"}", &["model.head", "2 different answers", "classes"]);
    fails(
        "parity.toml",
        "training.n_loss_queries=1",
        &["training.n_loss_queries", "`parity` says itself where answers are asked for"],
    );
    fails("parity.toml", "model.n_dims=2", &["model.n_dims", "is 2", "allowed: 1"]);
    fails("parity.toml", "model.embed.size=1", &["model.embed.size"]);
    fails(
        "tiny.toml",
        "model.head={type=\"classes\",count=2}",
        &["model.head", "points with a number each", "allowed: scalar"],
    );
    place.looped(&["run", "parity.toml", "-o", "run", "training.train_steps=2"]).ok();
    place.looped(&["probe", "run"]).fails(1, &["sequences of tokens"]);
    assert!(place.looped(&["stability", "run"]).ok().stdout.contains("accuracy after the best loop"));
    place.looped(&["exits", "run"]).fails(2, &["rules are of points", "`parity` has sequences of tokens"]);
    place.looped(&["match", "run"]).fails(2, &["solvers are of least squares", "`parity` has classes"]);
}
