//! `sweep`, while the world around it changes: files edited, programs rebuilt, processes killed, folders used twice.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::Place;
use serde_json::Value;

const VARIANTS: &str = "
base = \"tiny.toml\"
seeds = [0, 1]
[[variant]]
name = \"all tokens\"
[[variant]]
name = \"last 4\"
set = { \"model.injector\" = { type = \"last_n\", n = 4 } }
";

/// Steps enough that a test can act while a run is in work.
const LONG: [&str; 4] = [
    "training.train_steps=600",
    "training.save_every_steps=600",
    "training.keep_every_steps=0",
    "training.threads=1",
];

fn place(sweep: &str) -> Place {
    let place = Place::new();
    fs::write(place.path("sweep.toml"), sweep).unwrap();
    place
}

#[track_caller]
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(300), "{what}: has not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts a sweep and waits until its first run has logged some steps.
fn begun(place: &Place, arguments: &[&str]) -> Child {
    let child = place.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let metrics = place.path("out/runs/all-tokens-seed0/metrics.jsonl");
    wait_until("the first run", || fs::read_to_string(&metrics).is_ok_and(|text| text.lines().count() > 10));
    child
}

fn runs(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.path("out/runs")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn comparison(place: &Place) -> Value {
    serde_json::from_str(&place.read("out/report/comparison.json")).unwrap()
}

#[test]
fn a_base_that_is_edited_meanwhile_changes_no_run() {
    let place = place(VARIANTS);
    let mut child = begun(&place, &[&["sweep", "sweep.toml", "--out", "out"][..], &LONG].concat());
    fs::write(place.path("tiny.toml"), common::TINY.replace("1e-3", "1e-1")).unwrap();
    assert!(child.wait().unwrap().success());
    for run in runs(&place) {
        let config = place.read(&format!("out/runs/{run}/config.toml"));
        assert!(config.contains("learning_rate = 0.001\n"), "{run}: {config}");
    }
    let variants = comparison(&place)["variants"].as_array().unwrap().len();
    assert_eq!(variants, 2, "each variant's seeds are one variant");
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_that_is_rebuilt_meanwhile_changes_no_run() {
    let place = place(VARIANTS);
    let program = place.path("my-looped");
    fs::copy(env!("CARGO_BIN_EXE_looped"), &program).unwrap();
    let mut child = std::process::Command::new(&program)
        .args(["sweep", "sweep.toml", "--out", "out"])
        .args(LONG)
        .current_dir(place.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the first run", || place.path("out/runs/all-tokens-seed0/config.toml").exists());
    // As cargo does: the old file goes, another stands in its place.
    fs::remove_file(&program).unwrap();
    fs::write(&program, "#!/bin/sh\nexit 7\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(runs(&place).len(), 4);
}

#[test]
fn a_sweep_that_was_killed_at_its_very_start_takes_its_folder_again() {
    let place = place("base = \"tiny.toml\"\nseeds = [0]\n");
    let sweep = ["sweep", "sweep.toml", "training.train_steps=2", "--out", "out"];
    fs::create_dir(place.path("out")).unwrap();
    for left_over in [".lock", "sweep.toml.tmp"] {
        fs::write(place.path("out").join(left_over), "").unwrap();
    }
    place.looped(&sweep).ok();
    // Killed while the configs were written, before any run.
    fs::remove_dir_all(place.path("out")).unwrap();
    fs::create_dir_all(place.path("out/configs")).unwrap();
    for left_over in [".lock", "sweep.toml", "configs/tiny-seed0.toml.tmp"] {
        fs::write(place.path("out").join(left_over), "").unwrap();
    }
    place.looped(&sweep).ok();
    // What somebody else has there is not taken for that.
    fs::create_dir_all(place.path("other")).unwrap();
    fs::write(place.path("other/.lock"), "").unwrap();
    fs::write(place.path("other/thesis.tex"), "").unwrap();
    place.looped(&["sweep", "sweep.toml", "--out", "other"]).fails(2, &["--out other: is not empty"]);
}

#[test]
fn another_sweep_is_refused_in_the_folder_of_a_sweep_unless_it_only_adds() {
    let place = place(VARIANTS);
    let sweep = |file: &str| place.looped(&["sweep", file, "training.train_steps=2", "--out", "out"]);
    sweep("sweep.toml").ok();
    let before = common::results(&place.path("out"));
    fs::write(place.path("other.toml"), VARIANTS.replace("last 4", "last 3").replace("n = 4", "n = 3"))
        .unwrap();
    sweep("other.toml").fails(2, &["out", "another sweep", "last-4-seed0", "choose another --out"]);
    assert!(before == common::results(&place.path("out")), "a refusal changes nothing");
    fs::write(place.path("more.toml"), VARIANTS.replace("[0, 1]", "[0, 1, 2]")).unwrap();
    sweep("more.toml").ok();
    assert_eq!(runs(&place).len(), 6);
}

#[test]
fn files_that_a_user_puts_beside_a_report_stay() {
    let place = place("base = \"tiny.toml\"\nseeds = [0]\n");
    let sweep = ["sweep", "sweep.toml", "training.train_steps=2", "--out", "out"];
    place.looped(&sweep).ok();
    fs::write(place.path("out/report/NOTES.txt"), "mine").unwrap();
    fs::write(place.path("out/report/report.html"), "damaged").unwrap();
    place.looped(&sweep).ok();
    assert_eq!(place.read("out/report/NOTES.txt"), "mine");
    assert!(place.read("out/report/report.html").contains("<svg"));
}

#[cfg(unix)]
#[test]
fn a_comparison_goes_into_the_current_folder_and_through_a_link() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "training.train_steps=2", "--out", "a"]).ok();
    fs::create_dir(place.path("here")).unwrap();
    let mut command = place.command(&["compare", "../a", "--out", "."]);
    let compared = command.current_dir(place.path("here")).output().unwrap();
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stderr));
    assert!(place.path("here/report.html").exists());

    fs::create_dir(place.path("disk")).unwrap();
    std::os::unix::fs::symlink(place.path("disk"), place.path("link")).unwrap();
    place.looped(&["compare", "a", "--out", "link"]).ok();
    assert!(place.path("disk/report.html").exists() && place.path("link").is_symlink());
    std::os::unix::fs::symlink(place.path("gone"), place.path("dangling")).unwrap();
    place.looped(&["compare", "a", "--out", "dangling"]).fails(2, &["--out dangling", "leads nowhere"]);
}

#[test]
fn runs_that_could_not_be_compared_are_refused_before_any_is_trained() {
    for axis in [
        "\"task.type\" = [\"linear_regression\", \"quadratic_regression\"]",
        "\"training.curriculum.dims\" = [{ start = 1, end = 1, inc = 1, interval = 1 }, { start = 2, end = 2, inc = 1, interval = 1 }]",
    ] {
        let place = place(&format!("base = \"tiny.toml\"\nseeds = [0]\n[axes]\n{axis}\n"));
        let parts = ["only runs of one task can be compared", "linear_regression, 2 dims"];
        place.looped(&["sweep", "sweep.toml", "--out", "out"]).fails(2, &parts);
        place.looped(&["check", "sweep.toml"]).fails(2, &parts);
        assert!(!place.path("out").exists());
    }
}

/// They are scored on the same fresh prompts.
#[test]
fn runs_that_learn_from_few_prompts_are_compared_with_others() {
    let place = place(
        "base = \"tiny.toml\"\nseeds = [0, 1]\n[[variant]]\nname = \"fresh\"\n[[variant]]\nname = \"few\"\n\
         set = { task = { type = \"few_prompts\", base = { type = \"linear_regression\" }, count = 8 } }\n",
    );
    place.looped(&["sweep", "sweep.toml", "--out", "out"]).ok();
    place.looped(&["compare", "out/runs/few-seed0", "out/runs/fresh-seed0", "--out", "two"]).ok();
    let numbers: Value = serde_json::from_str(&place.read("two/comparison.json")).unwrap();
    assert_eq!(numbers["variants"].as_array().unwrap().len(), 2, "{numbers}");
}

#[test]
fn two_axes_of_one_key_are_refused_with_both_named() {
    let place = place(
        "base = \"tiny.toml\"\nseeds = [0]\n[axes]\n\"model.block.n_head\" = [1, 2]\n\
         \"model.block\" = [{ type = \"transformer\", n_head = 4 }, { type = \"lstm\" }]\n",
    );
    let parts = ["sweep.toml:5:17: axes.model.block", "overlaps the axis model.block.n_head"];
    place.looped(&["check", "sweep.toml"]).fails(2, &parts);
    place.looped(&["sweep", "sweep.toml", "--out", "out"]).fails(2, &parts);
}

#[test]
fn variants_that_are_the_same_training_are_refused() {
    let place = place(&VARIANTS.replace("last_n\", n = 4", "full\""));
    place
        .looped(&["sweep", "sweep.toml", "--out", "out"])
        .fails(2, &["variant \"last 4\"", "is the same training as all tokens"]);
}

#[test]
fn another_evaluation_is_carried_out_without_training_again() {
    let place = place("base = \"tiny.toml\"\nseeds = [0, 1]\n");
    let sweep = ["sweep", "sweep.toml", "training.train_steps=4", "--out", "out"];
    place.looped(&sweep).ok();
    let weights = fs::read(place.path("out/runs/tiny-seed0/checkpoints/last/model.safetensors")).unwrap();
    let metrics = place.read("out/runs/tiny-seed0/metrics.jsonl");
    let more = "\nbaselines = [{ type = \"least_squares\" }, { type = \"ridge\", alpha = 0.5 }]\n";
    fs::write(
        place.path("tiny.toml"),
        common::TINY
            .replace("prompts = 16", &format!("prompts = 32{more}"))
            .replace("log_every_steps = 2", "log_every_steps = 1"),
    )
    .unwrap();
    let again = place.looped(&sweep).ok();
    assert_eq!(again.stderr.matches(": evaluates again").count(), 2, "{}", again.stderr);
    assert!(
        weights == fs::read(place.path("out/runs/tiny-seed0/checkpoints/last/model.safetensors")).unwrap()
    );
    assert_eq!(metrics, place.read("out/runs/tiny-seed0/metrics.jsonl"));
    let evaluation: Value = serde_json::from_str(&place.read("out/runs/tiny-seed1/eval.json")).unwrap();
    assert_eq!(evaluation["prompts"], 32);
    assert!(evaluation["curves"]["ridge_0.5"].is_object(), "{evaluation}");
    let third = place.looped(&sweep).ok();
    assert!(third.stderr.contains("2 of 2 runs are finished already"), "{}", third.stderr);
}

#[test]
fn what_is_told_to_resume_a_sweep_is_the_real_command() {
    let place = place(VARIANTS);
    let sweep = [
        "sweep",
        "sweep.toml",
        "training.train_steps=2",
        "--out",
        "my sweep",
        "--jobs",
        "2",
        "--device",
        "cpu",
    ];
    place.looped(&sweep).ok();
    let markdown = place.read("my sweep/report/report.md");
    let command = "looped sweep sweep.toml training.train_steps=2 --out 'my sweep' --jobs 2 --device cpu";
    assert!(markdown.contains(command), "{markdown}");
    assert!(markdown.contains("looped run 'my sweep/configs/all-tokens-seed0.toml'"), "{markdown}");
}

#[test]
fn a_base_whose_name_looks_like_an_option_is_a_file() {
    let place = place("base = \"-x.toml\"\nseeds = [0]\n");
    fs::rename(place.path("tiny.toml"), place.path("-x.toml")).unwrap();
    place.looped(&["sweep", "sweep.toml", "training.train_steps=2", "--out", "out"]).ok();
    assert!(place.path("out/runs/tiny-seed0/eval.json").is_file());
}

#[test]
fn runs_side_by_side_share_the_cores() {
    let place = place("base = \"tiny.toml\"\nseeds = [0]\n");
    let cores = std::thread::available_parallelism().unwrap().get();
    place.looped(&["sweep", "sweep.toml", "training.train_steps=2", "--out", "out", "--jobs", "2"]).ok();
    let config = place.read("out/runs/tiny-seed0/config.toml");
    assert!(config.contains(&format!("threads = {}\n", (cores / 2).max(1))), "{config}");
    // What the file or the command line says is kept.
    let own = [
        "sweep",
        "sweep.toml",
        "training.train_steps=2",
        "training.threads=3",
        "--out",
        "own",
        "--jobs",
        "2",
    ];
    place.looped(&own).ok();
    assert!(place.read("own/runs/tiny-seed0/config.toml").contains("threads = 3\n"));
}

#[cfg(target_os = "linux")]
#[test]
fn no_run_outlives_a_sweep_that_was_killed_and_none_of_its_steps_are_lost() {
    let place = place(VARIANTS);
    let sweep =
        [&["sweep", "sweep.toml", "--out", "out"][..], &LONG, &["training.train_steps=100000"]].concat();
    let mut child = begun(&place, &sweep);
    child.kill().unwrap();
    child.wait().unwrap();
    let run = place.path("out/runs/all-tokens-seed0");
    wait_until("the end of the run", || !in_use(&run));
    let steps = place.read("out/runs/all-tokens-seed0/metrics.jsonl").lines().count();
    let state: Value =
        serde_json::from_str(&place.read("out/runs/all-tokens-seed0/checkpoints/last/state.json")).unwrap();
    assert!(state["step"].as_u64().unwrap() >= 2 * (steps as u64 - 1), "saved at its end: {state}, {steps}");
    assert!(steps < 40_000, "it was stopped");
}

#[cfg(unix)]
#[test]
fn a_signal_to_a_sweep_and_its_runs_together_lets_them_save() {
    let place = place(VARIANTS);
    let sweep = [
        &["sweep", "sweep.toml", "--out", "out", "--jobs", "2"][..],
        &LONG,
        &["training.train_steps=100000"],
    ]
    .concat();
    let mut child = begun(&place, &sweep);
    // As systemd and Slurm do: every process at once, and the sweep passes its own on.
    let all = format!(
        "kill -TERM {0} $(ps -o pid= --ppid {0}); sleep 0.01; kill -TERM {0} 2>/dev/null; true",
        child.id()
    );
    assert!(std::process::Command::new("sh").args(["-c", &all]).status().unwrap().success());
    assert!(!child.wait().unwrap().success());
    for run in runs(&place) {
        let run = place.path("out/runs").join(run);
        assert!(!in_use(&run), "{}: is still running", run.display());
        assert!(run.join("checkpoints/last/state.json").exists(), "{}: is not saved", run.display());
    }
}

fn in_use(run: &Path) -> bool {
    looped_train::RunDir::is_in_use(run)
}
