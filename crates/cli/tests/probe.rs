//! `probe`: what it prints and leaves, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;

use common::Place;
use serde_json::Value;

#[test]
fn a_run_is_probed_after_each_loop_and_its_report_shows_it() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "--out", "run"]).ok();
    let eval = place.read("run/eval.json");
    let shown = place.looped(&["probe", "run", "--prompts", "64", "--loops", "2", "--save"]).ok();
    for word in ["loop", "X^T y", "least-squares weights", "untrained", "shuffled", "mean of 64 prompts"] {
        assert!(shown.stdout.contains(word), "{word} in {}", shown.stdout);
    }
    let saved = place.read("run/probe.json");
    let probing: Value = serde_json::from_str(&saved).unwrap();
    assert_eq!(probing["trained_on"], 256);
    let mean = |target: &str, reading: &str, l: usize| probing[target][reading]["mean"][l].as_f64().unwrap();
    for target in ["xty", "least_squares"] {
        for l in 0..2 {
            assert!(mean(target, "shuffled", l) > 0.9, "{saved}");
            assert!(mean(target, "model", l) < mean(target, "shuffled", l), "{saved}");
        }
    }
    let html = place.read("run/report.html");
    assert!(html.contains("What the loops hold") && html.contains("squared error of reading"));
    for plot in ["plots/probe_xty.svg", "plots/probe_least_squares.png"] {
        assert!(place.path("run").join(plot).is_file(), "{plot}");
    }
    assert_eq!(place.read("run/eval.json"), eval);

    // The same bits again; and nothing but stdout without --save.
    fs::remove_file(place.path("run/probe.json")).unwrap();
    let again = place.looped(&["probe", "run", "--prompts", "64", "--loops", "2", "--json"]).ok();
    assert_eq!(again.stdout.trim_end(), saved);
    assert!(!place.path("run/probe.json").exists());
}

#[test]
fn what_cannot_be_probed_is_refused() {
    let place = Place::new();
    let one_step = ["training.train_steps=1", "--out"];
    place.looped(&[&["run", "tiny.toml"][..], &one_step, &["run"]].concat()).ok();
    place.looped(&["probe", "nowhere"]).fails(2, &["nowhere is not a run directory"]);
    place.looped(&["probe", "run", "--loops", "0"]).fails(2, &["--loops", "0"]);
    place.looped(&["probe", "run", "--prompts", "7"]).fails(2, &["7 prompts are too few", "at least 8"]);
    fs::remove_dir_all(place.path("run/checkpoints")).unwrap();
    place.looped(&["probe", "run"]).fails(2, &["run has no checkpoint", "looped resume run"]);

    let short = [
        "model.n_dims=7",
        "training.curriculum.dims.end=7",
        "training.curriculum.points={start=3,end=5,inc=1,interval=3}",
    ];
    place.looped(&[&["run", "tiny.toml"][..], &short, &one_step, &["short"]].concat()).ok();
    place
        .looped(&["probe", "short", "--prompts", "64"])
        .fails(2, &["prompts of 5 points don't tell the 7 weights"]);
    assert!(!place.path("short/probe.json").exists());
}
