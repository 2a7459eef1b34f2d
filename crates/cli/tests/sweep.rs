//! `sweep`: all its runs, side by side; what a stop, a failure or a slip of the pen does to it.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Place, assert_same};
use serde_json::Value;

const AXES: &str = "
base = \"tiny.toml\"
seeds = [0, 1]
[axes]
\"model.n_layer\" = [1, 2]
\"model.injector\" = [{ type = \"full\" }, { type = \"last_n\", n = 4 }]
";

const VARIANTS: &str = "
base = \"tiny.toml\"
seeds = [0, 1]
[[variant]]
name = \"all tokens\"
[[variant]]
name = \"last 4\"
set = { \"model.injector\" = { type = \"last_n\", n = 4 } }
";

fn place(sweep: &str) -> Place {
    let place = Place::new();
    fs::write(place.path("sweep.toml"), sweep).unwrap();
    place
}

fn comparison(place: &Place, sweep: &str) -> Value {
    serde_json::from_str(&place.read(&format!("{sweep}/report/comparison.json"))).unwrap()
}

/// Asserts that all runs of two sweeps left the same.
#[track_caller]
fn assert_same_runs(place: &Place, a: &str, b: &str) {
    let runs = |sweep: &str| -> Vec<PathBuf> {
        let entries = fs::read_dir(place.path(sweep).join("runs")).unwrap();
        let mut runs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        runs.sort();
        runs
    };
    let (a, b) = (runs(a), runs(b));
    assert_eq!((a.len(), b.len()), (4, 4));
    a.iter().zip(&b).for_each(|(a, b)| assert_same(a, b));
}

fn names(comparison: &Value) -> Vec<&str> {
    comparison["variants"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap()).collect()
}

#[test]
fn every_combination_is_run_with_every_seed_and_compared() {
    let place = place(AXES);
    let swept = place.looped(&["sweep", "sweep.toml", "--out", "out", "--jobs", "2"]).ok();
    assert_eq!(swept.stdout.lines().next(), Some("out/report/report.html"));
    let comparison = comparison(&place, "out");
    assert_eq!(
        names(&comparison),
        [
            "n_layer=1, injector=full",
            "n_layer=1, injector=last_n n=4",
            "n_layer=2, injector=full",
            "n_layer=2, injector=last_n n=4"
        ]
    );
    for variant in comparison["variants"].as_array().unwrap() {
        assert_eq!(variant["seeds"], serde_json::json!([0, 1]));
    }
    let config = place.read("out/runs/n_layer=2-injector=last_n-n=4-seed1/config.toml");
    for line in ["seed = 1", "n_layer = 2", "type = \"last_n\"", "n = 4"] {
        assert!(config.contains(line), "{line} in {config}");
    }
    let html = place.read("out/report/report.html");
    for part in ["<svg", "<table>", "looped sweep sweep.toml --out out", "model.injector.n = 4"] {
        assert!(html.contains(part), "{part}");
    }

    // Nothing is left to do, and the report is the same.
    let before = common::results(&place.path("out"));
    let again = place.looped(&["sweep", "sweep.toml", "--out", "out", "--jobs", "2"]).ok();
    assert!(again.stderr.contains("8 of 8 runs are finished already"), "{}", again.stderr);
    assert_eq!(again.stdout, swept.stdout);
    assert!(before == common::results(&place.path("out")));
}

#[test]
fn seeds_alone_make_a_sweep_of_the_base() {
    let place = place("base = \"tiny.toml\"\nseeds = [3, 5]\n");
    place.looped(&["sweep", "sweep.toml", "training.train_steps=2", "--out", "out"]).ok();
    let comparison = comparison(&place, "out");
    assert_eq!(names(&comparison), ["tiny"]);
    assert_eq!(comparison["variants"][0]["seeds"], serde_json::json!([3, 5]));
}

#[test]
fn a_half_done_sweep_goes_on_to_the_same_runs() {
    let place = place(VARIANTS);
    place.looped(&["sweep", "sweep.toml", "--out", "whole"]).ok();
    place.looped(&["sweep", "sweep.toml", "--out", "half"]).ok();
    fs::remove_dir_all(place.path("half/runs/last-4-seed1")).unwrap();
    fs::remove_file(place.path("half/runs/last-4-seed0/eval.json")).unwrap();
    fs::remove_file(place.path("half/runs/all-tokens-seed1/report.html")).unwrap();
    fs::remove_dir_all(place.path("half/report")).unwrap();
    let again = place.looped(&["sweep", "sweep.toml", "--out", "half"]).ok();
    for line in ["1 of 4 runs are finished already", "last 4, seed 1: starts", "last 4, seed 0: resumes"] {
        assert!(again.stderr.contains(line), "{line} in {}", again.stderr);
    }
    assert_same_runs(&place, "whole", "half");
    assert_eq!(names(&comparison(&place, "half")), ["all tokens", "last 4"]);
}

#[test]
fn seeds_and_variants_that_are_added_are_all_that_runs() {
    let place = place(VARIANTS);
    place.looped(&["sweep", "sweep.toml", "--out", "out"]).ok();
    let kept = common::results(&place.path("out/runs/last-4-seed1"));
    let more = VARIANTS.replace("[0, 1]", "[0, 1, 2]")
        + "[[variant]]\nname = \"two blocks\"\nset = { \"model.n_layer\" = 2 }\n";
    fs::write(place.path("sweep.toml"), more).unwrap();
    let again = place.looped(&["sweep", "sweep.toml", "--out", "out"]).ok();
    assert!(again.stderr.contains("4 of 9 runs are finished already"), "{}", again.stderr);
    assert_eq!(again.stderr.matches(": starts").count(), 5, "{}", again.stderr);
    assert!(kept == common::results(&place.path("out/runs/last-4-seed1")));
    let comparison = comparison(&place, "out");
    assert_eq!(names(&comparison), ["all tokens", "last 4", "two blocks"]);
    for variant in comparison["variants"].as_array().unwrap() {
        assert_eq!(variant["seeds"], serde_json::json!([0, 1, 2]));
    }
}

#[test]
fn a_sweep_is_checked_without_a_run() {
    let place = place(AXES);
    let checked = place.looped(&["check", "sweep.toml", "training.train_steps=2"]).ok();
    for part in ["n_layer=2, injector=last_n n=4", "parameters", "# runs: 8, each variant with 2 seeds"] {
        assert!(checked.stdout.contains(part), "{part} in {}", checked.stdout);
    }
    // The sum is that of each variant with each seed.
    let number = |text: &str| text.parse::<f64>().unwrap();
    let of_runs: f64 = checked
        .stdout
        .lines()
        .skip(2)
        .take(4)
        .map(|line| {
            let columns: Vec<&str> = line.split("  ").filter(|cell| !cell.is_empty()).collect();
            2.0 * number(columns[2].trim())
        })
        .sum();
    let sum = checked.stdout.lines().find_map(|line| line.strip_prefix("# FLOPs of all runs: ")).unwrap();
    assert!((number(sum) / of_runs - 1.0).abs() < 1e-2, "{}", checked.stdout);
    assert!(!place.path("runs").exists() && !place.path("out").exists());
}

#[test]
fn a_failed_run_stops_no_other_and_is_told_at_the_end() {
    let place = place(&VARIANTS.replace("set = {", "set = { \"model.pretrained_path\" = \"gone.pt\","));
    let swept = place.looped(&["sweep", "sweep.toml", "--out", "out"]);
    assert!(swept.stdout.starts_with("out/report/report.html\n"), "{} {}", swept.stdout, swept.stderr);
    let parts =
        ["2 of 4 runs failed", "last 4, seed 0: exit status: 2", "gone.pt", "out/logs/last-4-seed1.log"];
    assert_eq!(names(&comparison(&place, "out")), ["all tokens"]);
    assert_eq!(
        comparison(&place, "out")["missing"][1],
        serde_json::json!({ "variant": "last 4", "seed": 1, "why": "failed" })
    );
    assert!(swept.stdout.contains("0 of 2; 2 failed"), "a row for the variant: {}", swept.stdout);
    let html = place.read("out/report/report.html");
    assert!(html.contains("These runs are missing here: last 4, seed 0 (failed); last 4, seed 1 (failed)."));
    swept.fails(1, &parts);
}

#[cfg(unix)]
#[test]
fn a_stop_lets_the_runs_save_and_the_sweep_goes_on_from_there() {
    let place = place(VARIANTS);
    let long = ["training.train_steps=400", "training.save_every_steps=400", "training.keep_every_steps=0"];
    let sweep = |out| [&["sweep", "sweep.toml", "--jobs", "2", "--out", out][..], &long].concat();
    place.looped(&sweep("whole")).ok();
    let mut child = place.command(&sweep("out")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let metrics = place.path("out/runs/all-tokens-seed1/metrics.jsonl");
    while fs::read_to_string(&metrics).map_or(0, |text| text.lines().count()) < 10 {
        assert!(begun.elapsed() < Duration::from_secs(300), "the sweep doesn't get on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let kill = std::process::Command::new("sh").arg("-c").arg(format!("kill -TERM {}", child.id())).status();
    assert!(kill.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(place.path("out/runs/all-tokens-seed1/checkpoints/last/state.json").exists(), "a stop saves");
    assert!(!place.path("out/report").exists() && !place.path("out/runs/last-4-seed1").exists());
    place.looped(&sweep("out")).ok();
    assert_same_runs(&place, "whole", "out");
}

#[cfg(unix)]
#[test]
fn a_sweep_that_was_killed_resumes_to_the_same_runs() {
    let place = place(VARIANTS);
    let long = ["training.train_steps=1500", "training.save_every_steps=100", "training.keep_every_steps=0"];
    let sweep = |out| [&["sweep", "sweep.toml", "--out", out][..], &long].concat();
    place.looped(&sweep("whole")).ok();
    let mut child = place.command(&sweep("out")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !place.path("out/runs/all-tokens-seed0/checkpoints/last").exists() {
        assert!(begun.elapsed() < Duration::from_secs(300), "the sweep doesn't get on");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Its run is saving, or has ended; both come to the same.
    place.looped(&sweep("out")).ok();
    assert_same_runs(&place, "whole", "out");
}

#[test]
fn slips_of_the_pen_are_told_before_anything_runs() {
    let cases: [(&str, &str, &[&str]); 17] = [
        ("seeds = [0, 1]", "", &["seeds: is missing"]),
        ("seeds = [0, 1]", "seeds = []", &["seeds: has 0 items; needed: at least 1"]),
        ("seeds = [0, 1]", "seeds = [1, 1]", &["seeds: lists 1 twice"]),
        ("seeds = [0, 1]", "seeds = [-1]", &["seeds.0: is -1; allowed: at least 0"]),
        ("seeds = [0, 1]", "seed = [0]", &["seed: is unknown; did you mean seeds?", "seeds: is missing"]),
        ("base = \"tiny.toml\"", "", &["base: is missing"]),
        ("base = \"tiny.toml\"", "base = \"gone.toml\"", &["gone.toml"]),
        ("base = \"tiny.toml\"", "base = \"tiny.toml", &["sweep.toml:2:"]),
        ("\"last 4\"", "\"all tokens\"", &["variant.1.name: \"all tokens\" is another variant's already"]),
        ("\"last 4\"", "\"all-tokens\"", &["would share the folder all-tokens-seed0"]),
        ("\"last 4\"", "\"a/b\"", &["variant \"a/b\"", "names the run's folder"]),
        ("name = \"last 4\"", "", &["variant.1.name: is missing"]),
        ("set = {", "sets = {", &["variant.1.sets: is unknown; did you mean set?"]),
        (
            "\"model.injector\"",
            "\"model.injecter\"",
            &["sweep.toml: variant \"last 4\": model.injecter: is unknown; did you mean injector?"],
        ),
        ("n = 4 }", "n = -4 }", &["variant \"last 4\": model.injector.n", "-4"]),
        ("set = {", "set = { seed = 3,", &["variant.1.set.seed: is the sweep's to set"]),
        ("[[variant]]\nname = \"all tokens\"", "[axes]", &["not both"]),
    ];
    for (from, to, parts) in cases {
        let place = place(&VARIANTS.replace(from, to));
        place.looped(&["sweep", "sweep.toml", "--out", "out"]).fails(2, parts);
        assert!(!place.path("out").exists(), "{to}: a folder was made");
        place.looped(&["check", "sweep.toml"]).fails(2, parts);
    }
    let place = place(&AXES.replace("[1, 2]", "[]").replace("n = 4 }", "m = 4 }"));
    place
        .looped(&["sweep", "sweep.toml", "--out", "out"])
        .fails(2, &["axes.model.n_layer: is an empty list"]);
    fs::write(place.path("sweep.toml"), "base = \"tiny.toml\"\nseeds = [0]\n[axes]\n").unwrap();
    place.looped(&["sweep", "sweep.toml", "--out", "out"]).fails(2, &["axes: is empty"]);
    fs::write(place.path("sweep.toml"), AXES.replace("n_layer", "n_layers")).unwrap();
    let refused = place.looped(&["sweep", "sweep.toml", "--out", "out"]);
    assert_eq!(refused.stderr.matches("n_layers: is unknown").count(), 1, "{}", refused.stderr);
    refused.fails(2, &["sweep.toml: axes: model.n_layers: is unknown; did you mean n_layer?"]);
}

#[test]
fn a_run_of_several_processes_is_no_run_of_a_sweep() {
    let place = place(VARIANTS);
    let parts = [
        "sweep.toml: training.ranks: is 2, and each run of a sweep is one process",
        "mpirun -n 2 looped run",
    ];
    let here = ["sweep", "sweep.toml", "--out", "out"];
    let elsewhere = [&here[..], &["--executor", "slurm"]].concat();
    let planned = [&here[..], &["--plan"]].concat();
    for command in [&here[..], &elsewhere, &planned, &["check", "sweep.toml"]] {
        let refused = place.looped(&[command, &["training.ranks=2"]].concat());
        assert_eq!(refused.stderr.matches("training.ranks").count(), 1, "{}", refused.stderr);
        refused.fails(2, &parts);
    }
    assert!(!place.path("out").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_is_killed_may_have_wanted_for_memory() {
    let place = place("base = \"tiny.toml\"\nseeds = [0]\n");
    let sweep = ["sweep", "sweep.toml", "training.train_steps=1000000", "--out", "out"];
    let child = place.command(&sweep).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let metrics = place.path("out/runs/tiny-seed0/metrics.jsonl");
    let begun = Instant::now();
    while !metrics.exists() {
        assert!(begun.elapsed() < Duration::from_secs(300), "the sweep doesn't get on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let run = place.read("out/runs/tiny-seed0/.lock");
    assert!(std::process::Command::new("kill").args(["-KILL", run.trim()]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("1 of 1 runs failed") && said.contains("where memory runs out"), "{said}");
}

#[test]
fn arguments_that_do_not_fit_the_sweep_are_refused() {
    let place = place(VARIANTS);
    let sweep = |more: &[&str]| place.looped(&[&["sweep", "sweep.toml", "--out", "out"], more].concat());
    sweep(&["seed=1"]).fails(2, &["seed: is set by sweep.toml run by run"]);
    sweep(&["model.injector.type=none"]).fails(2, &["model.injector.type: is set by sweep.toml"]);
    sweep(&["model.n_emb=1"]).fails(2, &["command line: model.n_emb: is unknown; did you mean n_embd?"]);
    sweep(&["--jobs", "0"]).fails(2, &["--jobs"]);
    place.looped(&["sweep", "gone.toml", "--out", "out"]).fails(2, &["gone.toml: cannot be read"]);
    assert!(!place.path("out").exists());

    fs::create_dir(place.path("out")).unwrap();
    fs::write(place.path("out/thesis.tex"), "").unwrap();
    sweep(&[]).fails(2, &["--out out: is not empty"]);
    fs::remove_file(place.path("out/thesis.tex")).unwrap();
    sweep(&["training.train_steps=2"]).ok();
    sweep(&["training.train_steps=3"]).fails(
        2,
        &["all-tokens-seed0 holds a run of another experiment", "training.train_steps is 3, was 2"],
    );
    for command in ["sweep", "compare"] {
        let help = place.looped(&[command, "--help"]).ok();
        assert!(help.stdout.contains("\n  looped "), "an example: {}", help.stdout);
    }
}

#[test]
fn a_grid_from_the_command_line_is_planned_and_run() {
    let place = Place::new();
    let sweep = [
        "sweep",
        "tiny.toml",
        "model.n_layer=[1, 2]",
        "training.train_steps=2",
        "--seeds",
        "0..1",
        "--out",
        "out",
    ];
    let planned = place.looped(&[&sweep[..], &["--dry-run"]].concat()).ok();
    for part in ["n_layer=1", "n_layer=2", "# runs: 4, each variant with 2 seeds", "# FLOPs of all runs"] {
        assert!(planned.stdout.contains(part), "{part} in {}", planned.stdout);
    }
    assert!(!place.path("out").exists());
    place.looped(&sweep).ok();
    let comparison = comparison(&place, "out");
    assert_eq!(names(&comparison), ["n_layer=1", "n_layer=2"]);
    assert_eq!(comparison["variants"][0]["seeds"], serde_json::json!([0, 1]));
    let command =
        "looped sweep tiny.toml 'model.n_layer=[1, 2]' training.train_steps=2 --seeds 0,1 --out out";
    assert!(place.read("out/report/report.md").contains(command));
    // The file that the folder keeps says the same, and may be given again.
    let again = place.looped(&["sweep", "out/sweep.toml", "training.train_steps=2", "--out", "out"]).ok();
    assert!(again.stderr.contains("4 of 4 runs are finished already"), "{}", again.stderr);
    let planned = place.looped(&[&sweep[..], &["--dry-run"]].concat()).ok();
    assert!(planned.stdout.contains("# of these finished: 4, begun: 0"), "{}", planned.stdout);

    place
        .looped(&["sweep", "tiny.toml", "--out", "new"])
        .fails(2, &["tiny.toml: is an experiment, not a sweep"]);
    place
        .looped(&["sweep", "tiny.toml", "model.n_layers=[1]", "--out", "new"])
        .fails(2, &["command line: axes: model.n_layers: is unknown; did you mean n_layer?"]);
    place.looped(&["sweep", "tiny.toml", "--seeds", "9..0", "--out", "new"]).fails(2, &["--seeds", "0..9"]);
    place.looped(&["sweep", "out/sweep.toml", "--seeds", "1", "--out", "new"]).fails(2, &["lists its seeds"]);
    assert!(!place.path("new").exists());
}

#[test]
fn more_runs_at_a_time_than_there_is_memory_for_are_refused() {
    let place = place("base = \"tiny.toml\"\nseeds = [0]\n[axes]\n\"model.n_layer\" = [1, 2, 3, 4]\n");
    let huge = ["model.n_embd=8192", "training.engine=candle", "training.batch_size=100"];
    place
        .looped(&[&["sweep", "sweep.toml", "--out", "out", "--jobs", "4"], &huge[..]].concat())
        .fails(2, &["--jobs 4: so many runs at a time need about", "lower --jobs"]);
    assert!(!place.path("out").exists());
}
