//! `run` and `resume`: what they leave, that it is the same every time, and that a stop changes nothing.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;

use common::{LONG, Place, assert_same, signal, start, wait_for_lines};
use serde_json::Value;

#[test]
fn a_run_leaves_all_its_files_and_prints_its_directory_and_a_table() {
    let place = Place::new();
    let ran = place.looped(&["run", "tiny.toml"]).ok();
    assert_eq!(ran.stdout.lines().next(), Some("runs/tiny"));
    for word in ["examples", "model", "least_squares", "averaging", "knn_3"] {
        assert!(ran.stdout.contains(word), "{}", ran.stdout);
    }
    assert!(ran.stderr.lines().any(|line| line.starts_with("step 12/12: loss ")), "{}", ran.stderr);
    for file in [
        "config.toml",
        "report.html",
        "plots/error.svg",
        "plots/error.png",
        "plots/loops.svg",
        "plots/loops.png",
    ] {
        assert!(place.path("runs/tiny").join(file).metadata().unwrap().len() > 100, "{file}");
    }
    for checkpoint in ["last", "step_0000010"] {
        assert!(place.path("runs/tiny/checkpoints").join(checkpoint).join("model.safetensors").exists());
    }
    let events = fs::read_dir(place.path("runs/tiny")).unwrap().map(|e| e.unwrap().file_name());
    assert_eq!(events.filter(|name| name.to_string_lossy().starts_with("events.out.tfevents.")).count(), 1);

    let steps: Vec<u64> = place
        .read("runs/tiny/metrics.jsonl")
        .lines()
        .map(|line| {
            let record: Value = serde_json::from_str(line).unwrap();
            for key in [
                "loss",
                "points",
                "dims",
                "loops",
                "learning_rate",
                "grad_norm",
                "steps_per_second",
                "cpu_seconds",
            ] {
                assert!(record[key].is_number(), "{key} in {line}");
            }
            record["step"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(steps, [0, 2, 4, 6, 8, 10, 11]);

    let eval: Value = serde_json::from_str(&place.read("runs/tiny/eval.json")).unwrap();
    assert_eq!(
        (&eval["task"], &eval["prompts"], &eval["loops"]),
        (&"linear_regression".into(), &16.into(), &4.into())
    );
    for curve in ["model", "least_squares", "averaging", "knn_3"] {
        for part in ["mean", "low", "high"] {
            assert_eq!(eval["curves"][curve][part].as_array().unwrap().len(), 5, "{curve}.{part}");
        }
    }
    assert_eq!(eval["per_loop"]["mean"].as_array().unwrap().len(), 4);
    // Least squares knows two coordinates from two examples.
    assert!(eval["curves"]["least_squares"]["mean"][3].as_f64().unwrap() < 1e-6);

    // The resolved config is an experiment of its own, and a second run doesn't take the first one's place.
    let again = place.looped(&["run", "runs/tiny/config.toml"]).ok();
    assert_eq!(again.stdout.lines().next(), Some("runs/tiny-2"));
    assert_same(&place.path("runs/tiny"), &place.path("runs/tiny-2"));
}

#[test]
fn overrides_win_and_another_seed_gives_another_model() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "training.train_steps=2", "seed=4", "--out", "a"]).ok();
    place.looped(&["run", "tiny.toml", "training.train_steps=2", "--out", "b"]).ok();
    assert!(place.read("a/config.toml").contains("seed = 4"));
    let model = |run: &str| fs::read(place.path(run).join("checkpoints/last/model.safetensors")).unwrap();
    assert_ne!(model("a"), model("b"));
}

#[cfg(unix)]
#[test]
fn stopped_or_killed_and_resumed_a_run_ends_as_if_nothing_had_happened() {
    let place = Place::new();
    let run = |out| [&["run", "tiny.toml", "--out", out][..], &LONG].concat();
    place.looped(&run("whole")).ok();
    for (name, signal_name, lines) in
        [("term", "TERM", 30), ("int", "INT", 3), ("kill", "KILL", 60), ("kill_early", "KILL", 5)]
    {
        let mut child = start(&place, &run(name));
        wait_for_lines(&place.path(name).join("metrics.jsonl"), lines);
        signal(&child, signal_name);
        let status = child.wait().unwrap();
        if signal_name == "KILL" {
            assert_eq!(status.code(), None);
        } else {
            assert_eq!(status.code(), Some(if signal_name == "INT" { 130 } else { 143 }));
            assert!(place.path(name).join("checkpoints/last/state.json").exists(), "a stop saves");
        }
        let resumed = place.looped(&["resume", name]).ok();
        assert_eq!(resumed.stdout.lines().next(), Some(name));
        assert_same(&place.path("whole"), &place.path(name));
    }
    let again = place.looped(&["resume", "whole"]).ok();
    assert!(again.stderr.contains("all 400 steps of this run are done"), "{}", again.stderr);
}

#[cfg(unix)]
#[test]
fn killed_before_its_first_checkpoint_a_run_begins_again_with_its_pretrained_weights() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "seed=9", "training.train_steps=2", "--out", "before"]).ok();
    let pretrained = "model.pretrained_path=\"before/checkpoints/last/model.safetensors\"";
    let run = |out| {
        [&["run", "tiny.toml", pretrained, "--out", out][..], &LONG, &["training.save_every_steps=400"]]
            .concat()
    };
    place.looped(&run("whole")).ok();
    let mut child = start(&place, &run("killed"));
    wait_for_lines(&place.path("killed/metrics.jsonl"), 3);
    signal(&child, "KILL");
    child.wait().unwrap();
    assert!(!place.path("killed/checkpoints").exists(), "killed too late to show anything");
    // What is left if it dies while it writes the first one.
    fs::create_dir_all(place.path("killed/checkpoints/next.tmp")).unwrap();
    fs::write(place.path("killed/checkpoints/next.tmp/model.safetensors"), "half").unwrap();
    place.looped(&["resume", "killed"]).ok();
    assert_same(&place.path("whole"), &place.path("killed"));
}

#[test]
fn a_second_process_on_one_run_is_refused() {
    let place = Place::new();
    let mut child = start(
        &place,
        &[&["run", "tiny.toml", "--out", "run"][..], &LONG, &["training.train_steps=100000"]].concat(),
    );
    // Beyond its first checkpoint.
    wait_for_lines(&place.path("run/metrics.jsonl"), 22);
    let process = format!("run is in use by another looped process (process {})", child.id());
    for second in [&["resume", "run"][..], &["eval", "run", "--suite", "ood", "--save", "--prompts", "4"]] {
        place.looped(second).fails(2, &[&process]);
    }
    // Looking takes nothing away from it.
    place.looped(&["eval", "run", "--prompts", "4"]).ok();
    place.looped(&["run", "tiny.toml", "--out", "run"]).fails(2, &["run holds a run already"]);
    child.kill().unwrap();
    child.wait().unwrap();
    // The lock went with the process.
    place.looped(&["eval", "run", "--prompts", "4"]).ok();
}

/// With everything that a training may have beside its weights.
const STACK: [&str; 6] = [
    "training.optimizer.type=muon",
    "training.schedule={type=\"wsd\", warmup=100, decay=150}",
    "training.ema=0.99",
    "training.skip_non_finite=2",
    "training.depth={type=\"poisson_lognormal\", mean=3.0, most=6}",
    "training.loss={type=\"progressive\", alpha=0.5}",
];

#[test]
fn a_run_of_the_whole_training_stack_is_stopped_killed_and_resumed_to_the_same_files() {
    let place = Place::new();
    let run = |out: &'static str| [&["run", "tiny.toml", "--out", out], &LONG[..], &STACK[..]].concat();
    place.looped(&run("whole")).ok();
    let mut child = start(&place, &run("killed"));
    wait_for_lines(&place.path("killed/metrics.jsonl"), 30);
    signal(&child, "KILL");
    child.wait().unwrap();
    place.looped(&["resume", "killed"]).ok();
    assert_same(&place.path("whole"), &place.path("killed"));

    let eval: Value = serde_json::from_str(&place.read("whole/eval.json")).unwrap();
    let [own, averaged] = ["model", "model_ema"].map(|name| eval["curves"][name]["mean"].as_array().unwrap());
    assert!(own.len() == averaged.len() && own != averaged, "{eval}");
    let names: Vec<&String> = eval["curves"].as_object().unwrap().keys().collect();
    assert_eq!(names[..2], ["model", "model_ema"]);
    assert!(place.path("whole/checkpoints/last/model_ema.safetensors").exists());
    let last: Value =
        serde_json::from_str(place.read("whole/metrics.jsonl").lines().last().unwrap()).unwrap();
    assert!(last["validation_loss_ema"].is_f64() && last["skipped"].is_null(), "{last}");
    // Another evaluation, from the checkpoint alone, has the same two.
    let again = place.looped(&["eval", "whole", "--json"]).ok().stdout;
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(again["curves"]["model_ema"], eval["curves"]["model_ema"]);
    place.looped(&["compare", "whole", "killed", "--out", "compared"]).ok();
    assert!(!place.read("compared/report.md").contains("model_ema"), "it is no baseline");
}
