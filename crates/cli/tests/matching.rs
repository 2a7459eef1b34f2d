//! `match`: what it prints and leaves, and what it refuses.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::Place;
use serde_json::Value;

#[test]
fn a_run_is_matched_with_solvers_and_its_report_shows_it() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "--out", "run"]).ok();
    let before = place.read("run/report.md");
    let shown = place.looped(&["match", "run", "--prompts", "32", "--steps", "20", "--loops", "3"]).ok();
    for word in
        ["closest by SimE", "best step by SimW", "newton schulz", "gd single", "on 32 prompts of 5 points"]
    {
        assert!(shown.stdout.contains(word), "{word} in {}", shown.stdout);
    }
    assert!(!place.path("run/lab").exists() && place.read("run/report.md") == before);

    let saved = ["match", "run", "--prompts", "32", "--steps", "20", "--loops", "3", "--json", "--save"];
    let json = place.looped(&saved).ok().stdout;
    assert_eq!(json.trim_end(), place.read("run/lab/match.json"));
    let found: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&found["kind"], &found["loops"], &found["queries"]), (&"match".into(), &3.into(), &4.into()));
    for agreement in found["agreements"].as_array().unwrap() {
        let best = &agreement["best"][2][6];
        let [step, low, high] = ["step", "low", "high"].map(|part| best[part].as_u64().unwrap());
        assert!(1 <= low && low <= step && step <= high && high <= 20, "{best}");
    }
    // The evaluation's own prompts: its error after the last loop is that of as many prompts.
    place.looped(&["eval", "run", "--prompts", "32", "--loops", "3", "--save", "same"]).ok();
    let eval: Value = serde_json::from_str(&place.read("run/evals/same.json")).unwrap();
    assert_eq!(found["error"], eval["per_loop"]);

    let report = place.read("run/report.md");
    assert!(report.contains("## Which solver does it follow?\n"), "{report}");
    for plot in ["match_error.svg", "match_steps.png", "match_simw_cg.svg", "match_sime_newton_schulz.png"] {
        assert!(place.path("run/plots").join(plot).is_file(), "{plot}");
    }
    assert!(report.contains("Of the model after 12 training steps."), "{report}");
    assert_eq!(found["trained_steps"], 12);
    // Another one beside it.
    place.looped(&["match", "run", "--prompts", "8", "--save", "few"]).ok();
    let report = place.read("run/report.md");
    assert!(report.contains("it follows? (few)\n") || report.contains("does it follow? (few)\n"), "{report}");
    place.looped(&["report", "run"]).ok();
    assert_eq!(place.read("run/report.md"), report);
    // Trained longer, the run keeps what was found before, and says so.
    place.looped(&["resume", "run", "training.train_steps=14"]).ok();
    let report = place.read("run/report.md");
    assert_eq!(report.matches("Of the model after 12 training steps.").count(), 2, "{report}");
}

#[test]
fn a_skewed_task_has_the_condition_number_that_it_was_given() {
    let place = Place::new();
    let task = "task={type=\"shifted\",base={type=\"linear_regression\"},distribution={type=\"skewed_covariance\",condition=400.0}}";
    place.looped(&["run", "tiny.toml", task, "training.train_steps=1", "--out", "run"]).ok();
    let condition = |run: &str| {
        let json = place.looped(&["match", run, "--json", "--prompts", "64"]).ok().stdout;
        serde_json::from_str::<Value>(&json).unwrap()["condition"].as_f64().unwrap()
    };
    place.looped(&["run", "tiny.toml", "training.train_steps=1", "--out", "plain"]).ok();
    assert!(condition("run") > 20.0 * condition("plain"));
}

#[test]
fn what_cannot_be_matched_is_refused() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "training.train_steps=1", "--out", "run"]).ok();
    place.looped(&["match", "nowhere"]).fails(2, &["nowhere is not a run directory"]);
    place.looped(&["match", "run", "--steps", "0"]).fails(2, &["--steps", "0"]);
    place
        .looped(&["match", "run", "--save", "a/b"])
        .fails(2, &["\"a/b\" can't name a result", "allowed: letters"]);
    place
        .looped(&["match", "run", "--prompts", "10000000", "--loops", "1000000"])
        .fails(2, &["matching needs about", "lower --prompts"]);
    let classes = "task={type=\"linear_classification\"}";
    place.looped(&["run", "tiny.toml", classes, "training.train_steps=1", "--out", "classes"]).ok();
    place.looped(&["match", "classes"]).fails(2, &["`linear_classification` has classes"]);
}

#[test]
fn a_solver_stands_beside_the_model_as_a_baseline() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "training.train_steps=1", "--out", "run"]).ok();
    let chosen =
        ["--baseline", "{type=\"solver\",method=\"cg\",steps=2}", "--baseline", "least_squares", "--json"];
    let json = place.looped(&[&["eval", "run"][..], &chosen].concat()).ok().stdout;
    let found: Value = serde_json::from_str(&json).unwrap();
    // Of two coordinates two steps are least squares.
    let last = |name: &str| found["curves"][name]["mean"][4].as_f64().unwrap();
    assert!(last("cg_2") < 1e-6 && last("least_squares") < 1e-6, "{json}");
    for (table, told) in
        [("solver", "missing field `method`"), ("{type=\"solver\",method=\"sgd\",steps=1}", "newton_schulz")]
    {
        place.looped(&["eval", "run", "--baseline", table]).fails(2, &["--baseline", told]);
    }
    let changed = "evaluation.baselines=[{type=\"solver\",method=\"gd\",steps=0}]";
    place.looped(&["check", "tiny.toml", changed]).fails(2, &["evaluation.baselines", "steps", "is 0"]);
}
