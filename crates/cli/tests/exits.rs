//! `exits`: what it prints and leaves, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::Place;
use serde_json::Value;

#[test]
fn exits_are_tried_and_the_report_shows_them() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "--out", "run"]).ok();
    let shown = place.looped(&["exits", "run", "--threshold", "1e-9"]).ok().stdout;
    for word in ["rule", "at random", "oracle: the best loop of each prompt", "all after the trained loops"] {
        assert!(shown.contains(word), "{word} in {shown}");
    }
    for (rule, why) in [
        ("prediction", "for some prompt it is below "),
        ("state", "for some prompt it is below "),
        // Two loops in a row, from the third on: there are four.
        ("acceleration", "it never could"),
        ("context", "for some prompt it is below "),
    ] {
        let told = format!("{rule} never fires at 1.00e-9 before the last loop; {why}");
        assert!(shown.contains(&told), "{told} in {shown}");
    }
    assert!(!place.path("run/lab").exists());

    // High enough for all: a prediction changes after loop 2 at the earliest, a residual is there after the first.
    let json = place.looped(&["exits", "run", "--threshold", "1e9", "--json", "--save"]).ok().stdout;
    assert_eq!(json.trim_end(), place.read("run/lab/exits.json"));
    let found: Value = serde_json::from_str(&json).unwrap();
    let loops: Vec<f64> = found["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["at_threshold"]["mean_loops"].as_f64().unwrap())
        .collect();
    assert_eq!(loops, [2.0, 2.0, 4.0, 1.0]);
    // Loop 4 is the last of four: no exit.
    assert_eq!(found["rules"][2]["at_threshold"]["fires"], 0.0);
    // The evaluation's own prompts, and nothing is better than the oracle.
    let eval: Value = serde_json::from_str(&place.read("run/eval.json")).unwrap();
    assert_eq!(found["fixed"], eval["per_loop"]);
    let oracle = found["oracle"]["mean"][0].as_f64().unwrap();
    for rule in found["rules"].as_array().unwrap() {
        let errors = rule["front"]["error"]["mean"].as_array().unwrap();
        assert!(errors.iter().all(|error| error.as_f64().unwrap() >= oracle - 1e-12), "{rule}");
    }

    let report = place.read("run/report.md");
    assert!(report.contains("## When could it stop?\n"), "{report}");
    for plot in ["front.svg", "gain.png", "by_examples.svg", "by_dims.png"] {
        assert!(place.path("run/plots").join(format!("exits_{plot}")).is_file(), "{plot}");
    }
    // Three results in one report, and it can be drawn again.
    place.looped(&["stability", "run", "--save"]).ok();
    place.looped(&["match", "run", "--save"]).ok();
    let report = place.read("run/report.md");
    for heading in
        ["## When could it stop?", "## Which solver does it follow?", "## What becomes of the state?"]
    {
        assert!(report.contains(heading), "{heading}");
    }
    place.looped(&["report", "run"]).ok();
    assert_eq!(place.read("run/report.md"), report);
    std::fs::write(place.path("run/lab/broken.json"), "{\"trained_steps\": 1, \"kind\": \"cake\"}").unwrap();
    place.looped(&["report", "run"]).fails(2, &["run/lab/broken.json", "cake", "`exits`"]);
}

#[test]
fn what_cannot_be_tried_is_refused() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "training.train_steps=1", "--out", "run"]).ok();
    place.looped(&["exits", "nowhere"]).fails(2, &["nowhere is not a run directory"]);
    place
        .looped(&["exits", "run", "--loops", "1"])
        .fails(2, &["1 loop leaves nothing to decide", "at least 2"]);
    for threshold in ["0", "-1", "nan", "inf", "much"] {
        let threshold = format!("--threshold={threshold}");
        place.looped(&["exits", "run", &threshold]).fails(2, &["--threshold", "allowed: a number above 0"]);
    }
    place
        .looped(&["exits", "run", "--prompts", "10000000", "--loops", "1000000"])
        .fails(2, &["this needs about", "lower --prompts or --loops"]);
}
