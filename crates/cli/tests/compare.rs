//! `compare`: what it leaves, how it groups, what it refuses.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;

use common::Place;
use serde_json::Value;

/// Three runs: two seeds of the tiny experiment, and one with two blocks.
fn three_runs(place: &Place) {
    place.looped(&["run", "tiny.toml", "--out", "a"]).ok();
    place.looped(&["run", "tiny.toml", "seed=4", "--out", "b"]).ok();
    place.looped(&["run", "tiny.toml", "model.n_layer=2", "--out", "two"]).ok();
}

#[test]
fn runs_are_grouped_by_config_and_their_seeds_averaged() {
    let place = Place::new();
    three_runs(&place);
    let compared = place.looped(&["compare", "a", "b", "two", "--out", "out"]).ok();
    assert_eq!(compared.stdout.lines().next(), Some("out/report.html"));
    for word in ["variant", "seeds", "2 examples", "4 examples", "parameters", "training FLOPs", "averaging"]
    {
        assert!(compared.stdout.contains(word), "{word} in {}", compared.stdout);
    }

    let comparison: Value = serde_json::from_str(&place.read("out/comparison.json")).unwrap();
    let variants = comparison["variants"].as_array().unwrap();
    // Both are called tiny, so that their folders' names tell them apart.
    let names: Vec<&Value> = variants.iter().map(|variant| &variant["name"]).collect();
    assert_eq!(names, ["a", "two"]);
    assert_eq!(variants[0]["seeds"], serde_json::json!([3, 4]));
    assert_eq!(variants[0]["difference"], serde_json::json!([]));
    assert_eq!(variants[1]["difference"], serde_json::json!(["model.n_layer = 2"]));

    let scores = |run: &str| -> Vec<f64> {
        let eval: Value = serde_json::from_str(&place.read(&format!("{run}/eval.json"))).unwrap();
        eval["curves"]["model"]["mean"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    };
    for (k, (a, b)) in scores("a").into_iter().zip(scores("b")).enumerate() {
        let at = |curve: &str, part: &str| variants[0][curve][part][k].as_f64().unwrap();
        assert!((at("error", "mean") - (a + b) / 2.0).abs() < 1e-12);
        assert_eq!((at("error_span", "low"), at("error_span", "high")), (a.min(b), a.max(b)));
        // Student's t for two values: half their distance times 6.314.
        let reach = 6.314 * (a - b).abs() / 2.0;
        assert!((at("error", "high") - (a + b) / 2.0 - reach).abs() < 1e-9);
    }
}

#[test]
fn the_report_has_its_figures_and_tables_and_is_the_same_again() {
    let place = Place::new();
    three_runs(&place);
    place.looped(&["compare", "a", "b", "two", "--out", "out"]).ok();
    place.looped(&["compare", "a", "b", "two", "--out", "again"]).ok();
    let html = place.read("out/report.html");
    assert_eq!(html.matches("<figure>").count(), 6);
    for part in ["<table>", "model.n_layer = 2", "n_positions = 5", "looped run a/config.toml --out again/a"]
    {
        assert!(html.contains(part), "{part}");
    }
    let markdown = place.read("out/report.md");
    assert!(markdown.contains("](plots/error.png)") && markdown.contains("| variant |"), "{markdown}");
    for plot in ["error", "loops", "training", "held_out_steps", "held_out_flops", "held_out_seconds"] {
        for ending in ["svg", "png"] {
            let name = format!("plots/{plot}.{ending}");
            assert!(fs::metadata(place.path("out").join(&name)).unwrap().len() > 500, "{name}");
        }
    }
    common::assert_same(&place.path("out"), &place.path("again"));
}

#[test]
fn copies_of_one_run_are_not_taken_for_seeds() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "--out", "a"]).ok();
    place.looped(&["run", "tiny.toml", "--out", "copy"]).ok();
    place.looped(&["compare", "a", "copy", "--out", "out"]).ok();
    let comparison: Value = serde_json::from_str(&place.read("out/comparison.json")).unwrap();
    assert_eq!(comparison["variants"].as_array().unwrap().len(), 2);
}

#[test]
fn what_cannot_be_compared_is_refused_and_nothing_is_written() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "--out", "a"]).ok();
    place.looped(&["run", "tiny.toml", "task.type=quadratic_regression", "--out", "quadratic"]).ok();
    place.looped(&["run", "tiny.toml", "seed=7", "--out", "cut"]).ok();
    fs::remove_file(place.path("cut/eval.json")).unwrap();
    place.looped(&["run", "tiny.toml", "seed=8", "--out", "bad"]).ok();
    fs::write(place.path("bad/eval.json"), "{").unwrap();
    fs::create_dir(place.path("empty")).unwrap();

    let refused = |runs: &[&str], parts: &[&str]| {
        place.looped(&[&["compare"], runs, &["--out", "out"]].concat()).fails(2, parts);
        assert!(!place.path("out").exists());
    };
    refused(&[], &["<RUN>"]);
    refused(&["nowhere"], &["nowhere is not a run directory"]);
    refused(
        &["a", "cut", "empty", "bad"],
        &["cut has no eval.json", "looped resume cut", "empty is not a run directory", "bad/eval.json"],
    );
    refused(&["a", "quadratic"], &["a: linear_regression", "quadratic: quadratic_regression", "one task"]);
    refused(&["a", "./a"], &["./a is given twice"]);
    place.looped(&["compare", "a", "--out", "quadratic"]).fails(2, &["quadratic: is not empty"]);
    place.looped(&["compare", "a", "--out", "tiny.toml"]).fails(2, &["tiny.toml: is not a folder"]);
    place.looped(&["compare", "a"]).fails(2, &["--out"]);
}
