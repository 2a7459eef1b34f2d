//! `match`: what it prints and leaves, and what it refuses; and its solvers as baselines.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;

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

/// `steps = "loops"`: after loop l it is the solver of l steps, in every file that has a curve over loops.
#[test]
fn a_solver_with_a_step_in_each_loop_stands_beside_the_model_over_loops() {
    let place = Place::new();
    let solver = |method: &str, steps: &str| format!("{{type=\"solver\",method=\"{method}\",steps={steps}}}");
    let fixed = (1..=4).map(|steps| solver("cg", &steps.to_string()));
    let all: Vec<String> = fixed.chain(["cg", "gd"].map(|method| solver(method, "\"loops\""))).collect();
    let baselines = format!("evaluation.baselines=[{}]", all.join(","));
    place.looped(&["run", "tiny.toml", &baselines, "--out", "run"]).ok();
    let found: Value = serde_json::from_str(&place.read("run/eval.json")).unwrap();
    assert_eq!(found["loops"], 4);
    let over_loops = &found["baselines_per_loop"]["cg_loops"];
    for index in 0..4 {
        let of_as_many = &found["curves"][format!("cg_{}", index + 1)];
        for part in ["mean", "low", "high", "median"] {
            assert_eq!(over_loops[part][index], of_as_many[part][4], "{part} after loop {}", index + 1);
        }
    }
    assert!(over_loops["mean"][0].as_f64() > over_loops["mean"][1].as_f64(), "two coordinates, two steps");
    assert_eq!(found["curves"]["cg_loops"], found["curves"]["cg_4"], "over examples, as many steps as loops");
    assert_eq!(found["baselines_per_loop"].as_object().unwrap().len(), 2, "a fixed number has no such curve");

    // The report's own figure, and its numbers.
    let figure = place.read("run/plots/loops.svg");
    for curve in ["model", "cg loops", "gd loops"] {
        assert!(figure.contains(curve), "{curve}");
    }
    assert!(!figure.contains("cg 1"), "no fixed number of steps is drawn over loops");
    let exported = place.looped(&["export", "run", "--what", "evaluation"]).ok().stdout;
    assert_eq!(exported.lines().filter(|line| line.contains("cg_loops,loops,")).count(), 4, "{exported}");
    let scores = fs::read(place.path("run/scores.safetensors")).unwrap();
    let scores = safetensors::SafeTensors::deserialize(&scores).unwrap();
    assert_eq!(scores.tensor("per_loop.cg_loops").unwrap().shape(), [16, 4]);

    // Asked again for more loops, and in a comparison of runs that have some prompts in common.
    let eval = |more: &[&str]| {
        place.looped(&[&["eval", "run", "--baseline", &all[4], "--json"], more].concat()).ok().stdout
    };
    let longer: Value = serde_json::from_str(&eval(&["--loops", "6"])).unwrap();
    assert_eq!(longer["baselines_per_loop"]["cg_loops"]["mean"].as_array().unwrap().len(), 6);
    assert_eq!(longer["baselines_per_loop"]["cg_loops"]["mean"][1], over_loops["mean"][1]);
    let fewer = "evaluation.prompts=12";
    place.looped(&["run", "tiny.toml", &baselines, fewer, "seed=4", "--out", "other"]).ok();
    place.looped(&["compare", "run", "other", "--out", "compared"]).ok();
    let compared: Value = serde_json::from_str(&place.read("compared/comparison.json")).unwrap();
    let again = |place: &str| compared["baselines_per_loop"]["cg_loops"][place].as_array().unwrap().clone();
    let own: Value = serde_json::from_str(&place.read("other/eval.json")).unwrap();
    let own = own["baselines_per_loop"]["cg_loops"]["mean"].as_array().unwrap().clone();
    for (compared, own) in again("mean").iter().zip(&own) {
        let (compared, own) = (compared.as_f64().unwrap(), own.as_f64().unwrap());
        assert!(
            (compared - own).abs() <= 1e-6 * own.max(1e-6),
            "of the prompts in common: {compared}, {own}"
        );
    }
    assert!(place.read("compared/plots/loops.svg").contains("cg loops"));
}

#[test]
fn steps_of_a_solver_are_a_number_or_the_word() {
    let place = Place::new();
    for (steps, told) in [
        ("\"loop\"", "is \"loop\", expected an integer, 1 to 100000, or \"loops\""),
        ("true", "is true, expected an integer, 1 to 100000, or \"loops\""),
        ("1.5", "is 1.5, expected an integer, 1 to 100000"),
        ("0", "is 0; allowed: 1 to 100000"),
        ("200000", "is 200000; allowed: 1 to 100000"),
    ] {
        let changed = format!("evaluation.baselines=[{{type=\"solver\",method=\"gd\",steps={steps}}}]");
        let told = format!("evaluation.baselines.0.steps: {told}");
        place.looped(&["check", "tiny.toml", &changed]).fails(2, &[&told]);
    }
}
