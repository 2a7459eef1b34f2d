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
    assert_eq!(comparison["format"], 1);
    for (k, (a, b)) in scores("a").into_iter().zip(scores("b")).enumerate() {
        let at = |part: &str| variants[0]["error"][part][k].as_f64().unwrap();
        assert!((at("mean") - (a * b).sqrt()).abs() < 1e-9, "the geometric mean");
        // Student's t for two logarithms: half their distance times 6.314, and a little more for the prompts.
        let least = (6.314 * (a / b).ln().abs() / 2.0).exp();
        assert!(at("high") / at("mean") > 0.9 * least && at("low") < at("mean") && at("mean") < at("high"));
        assert_eq!(variants[0]["error_of_seeds"][0][k], a);
    }
}

#[test]
fn a_variant_is_divided_by_the_first_seed_by_seed_or_by_the_one_asked_for() {
    let place = Place::new();
    three_runs(&place);
    place.looped(&["run", "tiny.toml", "seed=4", "model.n_layer=2", "--out", "two4"]).ok();
    let runs = ["a", "b", "two", "two4"];
    let compared =
        place.looped(&[&["compare"][..], &runs, &["--examples", "4", "--out", "out"]].concat()).ok();
    for words in
        ["4 examples: × a", "verdict", "90 % CI over seeds and prompts, paired by both", "a true ratio"]
    {
        assert!(compared.stdout.contains(words), "{words} in {}", compared.stdout);
    }
    let read = |folder: &str| -> Value {
        serde_json::from_str(&place.read(&format!("{folder}/comparison.json"))).unwrap()
    };
    let ratios = &read("out")["ratios"];
    let cell = &ratios["cells"][0];
    assert_eq!(
        (&ratios["against"], &cell["variant"], &cell["pairing"]),
        (&"a".into(), &"two".into(), &"paired".into())
    );
    let last = |run: &str| -> f64 {
        let eval: Value = serde_json::from_str(&place.read(&format!("{run}/eval.json"))).unwrap();
        eval["curves"]["model"]["mean"][4].as_f64().unwrap()
    };
    let of_seeds = [last("two") / last("a"), last("two4") / last("b")];
    for (i, expected) in of_seeds.iter().enumerate() {
        // The scores of the prompts are kept as f32.
        assert!((cell["of_seeds"][i]["ratio"].as_f64().unwrap() / expected - 1.0).abs() < 1e-5);
    }
    let ratio = |cell: &Value| cell["ratio"].as_f64().unwrap();
    assert!((ratio(cell) / (of_seeds[0] * of_seeds[1]).sqrt() - 1.0).abs() < 1e-5);

    place.looped(&[&["compare"][..], &runs, &["--against", "two", "--out", "turned"]].concat()).ok();
    let cells = read("turned")["ratios"]["cells"].clone();
    let turned = cells.as_array().unwrap().iter().find(|cell| cell["examples"] == 4).unwrap().clone();
    assert!((ratio(&turned) * ratio(cell) - 1.0).abs() < 1e-9);

    let refused = |more: &[&str], parts: &[&str]| {
        place.looped(&[&["compare"][..], &runs, more, &["--out", "no"]].concat()).fails(2, parts);
    };
    refused(&["--against", "three"], &["no such variant", "a, two"]);
    refused(&["--margin", "0.9"], &["--margin is 0.9", "above 1"]);
    refused(&["--examples", "5"], &["--examples 5", "0 to 4"]);
}

#[test]
fn runs_that_were_scored_on_other_prompts_are_cut_to_common_ones_or_refused_with_the_way_out() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "--out", "a"]).ok();
    place.looped(&["run", "tiny.toml", "model.n_layer=2", "evaluation.prompts=80", "--out", "more"]).ok();
    place.looped(&["run", "tiny.toml", "model.n_layer=2", "evaluation.seed=77", "--out", "other"]).ok();
    place.looped(&["run", "tiny.toml", "evaluation.seed=77", "--out", "it's other"]).ok();
    place
        .looped(&["compare", "a", "it's other", "--out", "no"])
        .fails(2, &["  looped eval 'it'\\''s other' --prompts 16 --seed 1 --loops 4 --save common"]);
    place.looped(&["compare", "a", "more", "--out", "common"]).ok();
    let comparison: Value = serde_json::from_str(&place.read("common/comparison.json")).unwrap();
    assert_eq!(comparison["prompts"], 16);

    place.looped(&["compare", "a", "other", "--out", "no"]).fails(
        2,
        &[
            "a: 16 prompts of seed 1, 5 points, 4 loops",
            "other: 16 prompts of seed 77",
            "looped eval other --prompts 16 --seed 1 --loops 4 --save common",
        ],
    );
    for run in ["a", "other"] {
        place
            .looped(&["eval", run, "--prompts", "16", "--seed", "1", "--loops", "4", "--save", "common"])
            .ok();
        assert!(place.path(run).join("evals/common.safetensors").is_file());
    }
    place.looped(&["compare", "a", "other", "--eval", "common", "--out", "out"]).ok();
    place
        .looped(&["compare", "a", "more", "--eval", "common", "--out", "no"])
        .fails(2, &["more has no evaluation called common", "looped eval more --save common"]);
    place.looped(&["eval", "a", "--loops", "9", "--save", "long"]).ok();
    place.looped(&["eval", "other", "--seed", "1", "--save", "long"]).ok();
    place
        .looped(&["compare", "a", "other", "--eval", "long", "--out", "no"])
        .fails(2, &["different numbers of loops"]);
    place.looped(&["eval", "a", "--save", "../out"]).fails(2, &["can't name an evaluation"]);
}

/// Of runs that draw their depth the own number of loops is the most of it, or its mean.
#[test]
fn runs_of_drawn_depths_are_compared_each_after_its_own_loops() {
    let place = Place::new();
    for (run, from, to, mean) in [("a", 2, 6, 4), ("b", 1, 3, 2)] {
        let depth = format!("training.depth={{type=\"uniform\",from={from},to={to}}}");
        let loops = format!("evaluation.loops={mean}");
        place.looped(&["run", "tiny.toml", &depth, &loops, "--out", run]).ok();
        place.looped(&["eval", run, "--loops", &to.to_string(), "--save", "most"]).ok();
        place.looped(&["eval", run, "--loops", &(mean + 1).to_string(), "--save", "else"]).ok();
    }
    place.looped(&["compare", "a", "b", "--out", "mean"]).ok();
    place.looped(&["compare", "a", "b", "--eval", "most", "--out", "most"]).ok();
    let refused = place.looped(&["compare", "a", "b", "--eval", "else", "--out", "else"]);
    refused.fails(2, &["different numbers of loops"]);
}

#[test]
fn runs_without_the_scores_of_their_prompts_are_paired_by_seed_and_it_is_said() {
    let place = Place::new();
    three_runs(&place);
    let with = place.looped(&["compare", "a", "two", "--out", "with"]).ok().stdout;
    assert!(with.contains("paired by both"), "{with}");
    fs::remove_file(place.path("two/scores.safetensors")).unwrap();
    let without = place.looped(&["compare", "a", "two", "--out", "without"]).ok().stdout;
    assert!(without.contains("not every run has kept their scores"), "{without}");
    // The scores of another run are not taken for its own.
    fs::copy(place.path("a/scores.safetensors"), place.path("two/scores.safetensors")).unwrap();
    place
        .looped(&["compare", "a", "two", "--out", "no"])
        .fails(2, &["two/scores.safetensors", "not of one evaluation"]);
}

#[test]
fn the_report_has_its_figures_and_tables_and_is_the_same_again() {
    let place = Place::new();
    three_runs(&place);
    place.looped(&["compare", "a", "b", "two", "--out", "out"]).ok();
    place.looped(&["compare", "a", "b", "two", "--out", "again"]).ok();
    let html = place.read("out/report.html");
    assert_eq!(html.matches("<figure ").count(), 6);
    for part in ["<table>", "model.n_layer = 2", "n_positions = 5", "looped run a/config.toml --out again/a"]
    {
        assert!(html.contains(part), "{part}");
    }
    let markdown = place.read("out/report.md");
    assert!(markdown.contains("](plots/error.png)") && markdown.contains("| variant |"), "{markdown}");
    for plot in ["error", "loops", "training", "validation_steps", "validation_flops", "validation_cpu"] {
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
    fs::create_dir_all(place.path("swept/runs")).unwrap();
    fs::write(place.path("swept/sweep.toml"), "").unwrap();
    refused(&["swept"], &["swept is the folder of a sweep; compare its runs, swept/runs/*"]);
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

#[test]
fn a_run_in_the_current_folder_has_its_folders_name() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "--out", "a"]).ok();
    place.looped(&["run", "tiny.toml", "model.n_layer=2", "--out", "b"]).ok();
    let mut compare = place.command(&["compare", ".", "../b", "--out", "../out"]);
    let told = compare.current_dir(place.path("a")).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("error divided by that of a,"), "{told}");
    let report = place.read("out/report.md");
    assert!(report.contains("looped run ./config.toml --out again/run\n"), "{report}");
}

/// A sweep whose program was rebuilt meanwhile, or runs made months apart.
#[test]
fn runs_of_different_programs_or_engines_are_compared_with_a_warning() {
    let place = Place::new();
    three_runs(&place);
    let compare = |out: &str| place.looped(&["compare", "a", "b", "two", "--out", out]).ok().stderr;
    assert!(!compare("same").contains("programs"));
    let made = place.read("two/run.json");
    let made: Value = serde_json::from_str(&made).unwrap();
    let commit = made["sessions"][0]["commit"].as_str().unwrap();
    let other = place.read("two/run.json").replace(commit, "5555555555555555");
    fs::write(place.path("two/run.json"), other).unwrap();
    let told = compare("out");
    assert!(told.contains("warning: different programs trained these runs"), "{told}");
    assert!(told.contains("(5555555555) two") || told.contains("(5555555555, changed) two"), "{told}");
    for page in ["report.md", "report.html"] {
        let report = place.read(&format!("out/{page}"));
        assert!(report.contains("Different programs trained these runs"), "{page}");
    }
    place.looped(&["run", "tiny.toml", "training.engine=candle", "--out", "slow"]).ok();
    let told = place.looped(&["compare", "a", "slow", "--out", "engines"]).ok().stderr;
    assert!(told.contains("their CPU times can't be compared: candle on cpu slow; fused on cpu a"), "{told}");
    // A run that doesn't say, as a loop of one's own leaves it, is no reason for a word.
    fs::remove_file(place.path("two/run.json")).unwrap();
    assert!(!compare("unknown").contains("programs"));
}

#[test]
fn runs_whose_prompts_differ_in_length_are_paired_by_seed_and_it_is_said() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "--out", "a"]).ok();
    let short = ["training.curriculum.points.end=4", "name=short"];
    place.looped(&[&["run", "tiny.toml", "--out", "b"][..], &short].concat()).ok();
    let compared = place.looped(&["compare", "a", "b", "--out", "out"]).ok().stdout;
    assert!(compared.contains("paired by seed alone: the prompts differ in length"), "{compared}");
    let comparison: Value = serde_json::from_str(&place.read("out/comparison.json")).unwrap();
    let cells = comparison["ratios"]["cells"].as_array().unwrap();
    assert!(cells.iter().all(|cell| cell["examples"].as_u64().unwrap() < 4), "{cells:?}");
}
