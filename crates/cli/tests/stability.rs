//! `stability`: what it prints and leaves, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::Place;
use serde_json::Value;

#[test]
fn a_runs_states_are_looked_at_to_ten_times_its_depth_and_its_report_shows_them() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "--out", "run"]).ok();
    let before = place.read("run/report.md");
    let shown = place.looped(&["stability", "run"]).ok().stdout;
    for word in [
        "The state ",
        "over 40 loops (4 trained)",
        "spectral radius",
        "Lyapunov exponent 4",
        "the last divided by the best",
    ] {
        assert!(shown.contains(word), "{word} in {shown}");
    }
    assert!(!place.path("run/lab").exists() && place.read("run/report.md") == before);

    let json = place.looped(&["stability", "run", "--json", "--save"]).ok().stdout;
    assert_eq!(json.trim_end(), place.read("run/lab/stability.json"));
    let found: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&found["kind"], &found["tokens"], &found["still"]),
        (&"stability".into(), &10.into(), &0.0.into())
    );
    let shares = &found["verdict"]["shares"];
    let sum: f64 =
        ["settles", "drifts", "cycles", "diverges"].iter().map(|kind| shares[kind].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-12, "{shares}");
    // The step relative to the state before is what `eval` has, of all tokens together; this one is of each token, after the loop.
    assert_eq!(found["relative_step"]["median"].as_array().unwrap().len(), 40);
    assert!(found["relative_step"]["median"][0].is_null() && found["cosine"]["mean"][1].is_null());
    assert_eq!(found["distance_to_last"]["p95"][39], 0.0);

    let report = place.read("run/report.md");
    assert!(report.contains("## What becomes of the state?\n"), "{report}");
    for plot in ["step.svg", "cosine.png", "acceleration.svg", "distance.png", "paths.png", "score.svg"] {
        assert!(place.path("run/plots").join(format!("stability_{plot}")).is_file(), "{plot}");
    }
    // The same bits again, with any number of threads.
    let again =
        place.command(&["stability", "run", "--json"]).env("RAYON_NUM_THREADS", "1").output().unwrap();
    assert_eq!(String::from_utf8(again.stdout).unwrap(), json);
}

#[test]
fn tokens_that_never_move_are_left_out_and_a_task_of_tokens_is_looked_at_too() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "model.injector={type=\"last_n\",n=4}", "--out", "run"]).ok();
    let found: Value =
        serde_json::from_str(&place.looped(&["stability", "run", "--json"]).ok().stdout).unwrap();
    assert!((found["still"].as_f64().unwrap() - 0.6).abs() < 1e-12, "{}", found["still"]);
    assert!(found["relative_step"]["median"][5].as_f64().unwrap() > 0.0);
    assert!(place.looped(&["stability", "run"]).ok().stdout.contains("60 % of the tokens never move"));
}

#[test]
fn what_says_nothing_is_refused() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "training.train_steps=1", "--out", "run"]).ok();
    place.looped(&["stability", "nowhere"]).fails(2, &["nowhere is not a run directory"]);
    place.looped(&["stability", "run", "--loops", "3"]).fails(2, &["3 loops say nothing", "at least 4"]);
    place.looped(&["stability", "run", "--prompts", "1"]).fails(2, &["--prompts", "1"]);
    place
        .looped(&["stability", "run", "--prompts", "10000000", "--loops", "1000000"])
        .fails(2, &["this needs about", "lower --prompts or --loops"]);
}
