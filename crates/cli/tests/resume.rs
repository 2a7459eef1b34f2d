//! `resume`: what it refuses so that nothing is lost, what it may change, and what `run.json` tells of it.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;
use std::path::Path;

use common::{LONG, Place, assert_same, results, start, wait_for_lines};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

/// A place with a finished run, `run`.
fn finished(changes: &[&str]) -> Place {
    let place = Place::new();
    place.looped(&[&["run", "tiny.toml", "--out", "run"], changes].concat()).ok();
    place
}

fn json(place: &Place, file: &str) -> Value {
    serde_json::from_str(&place.read(file)).unwrap()
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[cfg(unix)]
#[test]
fn checkpoints_that_cannot_be_reached_are_not_taken_for_none() {
    let place = finished(&[]);
    fs::rename(place.path("run/checkpoints"), place.path("elsewhere")).unwrap();
    fs::remove_file(place.path("run/eval.json")).unwrap();
    let before = results(&place.path("run"));
    let untouched = |parts: &[&str]| {
        place.looped(&["resume", "run"]).fails(1, parts);
        assert!(before == results(&place.path("run")), "something was changed");
    };
    // Not there, and the metrics tell of steps beyond the first checkpoint.
    untouched(&["run/checkpoints: is not there", "tells of 12 steps", "put the checkpoints back"]);
    // A scratch disk that isn't mounted.
    std::os::unix::fs::symlink("not/mounted", place.path("run/checkpoints")).unwrap();
    let before = fs::read(place.path("run/metrics.jsonl")).unwrap();
    place.looped(&["resume", "run"]).fails(1, &["run/checkpoints: cannot read"]);
    assert_eq!(before, fs::read(place.path("run/metrics.jsonl")).unwrap());
    // Mounted again.
    fs::rename(place.path("elsewhere"), place.path("not")).unwrap();
    fs::create_dir(place.path("run/not")).unwrap();
    fs::rename(place.path("not"), place.path("run/not/mounted")).unwrap();
    place.looped(&["resume", "run"]).ok();
}

#[test]
fn a_run_is_trained_longer() {
    let place = finished(&[]);
    place.looped(&["run", "tiny.toml", "training.train_steps=20", "--out", "long"]).ok();
    let first = json(&place, "run/eval.json");
    let first_scores = fs::read(place.path("run/scores.safetensors")).unwrap();
    let longer =
        place.looped(&["resume", "run", "training.train_steps=20", "training.log_every_steps=4"]).ok();
    assert!(longer.stderr.contains("note: training.train_steps is 20, was 12"), "{}", longer.stderr);
    for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
        let of = |run: &str| fs::read(place.path(run).join("checkpoints/last").join(file)).unwrap();
        assert!(of("run") == of("long"), "{file}");
    }
    assert_eq!(json(&place, "run/eval.json"), json(&place, "long/eval.json"));
    assert_eq!(json(&place, "run/evals/step_0000012.json"), first);
    assert!(fs::read(place.path("run/evals/step_0000012.safetensors")).unwrap() == first_scores);
    assert!(fs::read(place.path("run/scores.safetensors")).unwrap() != first_scores);
    place.looped(&["compare", "run", "--eval", "step_0000012", "--out", "earlier"]).ok();
    assert!(place.read("run/config.toml").contains("train_steps = 20"));
    let sessions = &json(&place, "run/run.json")["sessions"];
    assert_eq!(
        (&sessions[1]["changed"][0]["from"], &sessions[1]["changed"][0]["to"]),
        (&12.into(), &20.into())
    );
    // Fewer than it has done is another matter.
    place
        .looped(&["resume", "run", "training.train_steps=15"])
        .fails(2, &["training.train_steps", "15", "20 steps are done"]);
    assert!(place.read("run/config.toml").contains("train_steps = 20"));
}

#[test]
fn what_the_steps_done_were_made_with_cannot_be_changed() {
    let place = finished(&["training.train_steps=4"]);
    let before = results(&place.path("run"));
    for (change, value) in [
        ("training.learning_rate=0.1", "0.001"),
        ("model.n_layer=2", "1"),
        ("seed=9", "3"),
        ("name=x", "tiny"),
    ] {
        let key = change.split('=').next().unwrap();
        let parts = [key, value, "the steps already done were made so", "training.train_steps", "new run"];
        place.looped(&["resume", "run", change, "training.train_steps=8"]).fails(2, &parts);
    }
    place.looped(&["resume", "run", "training.train_step=8"]).fails(2, &["did you mean train_steps?"]);
    assert!(before == results(&place.path("run")), "something was changed");
}

#[test]
fn another_evaluation_evaluates_again() {
    let place = finished(&[]);
    place.looped(&["resume", "run", "evaluation.prompts=24", "evaluation.baselines=[]"]).ok();
    let eval = json(&place, "run/eval.json");
    assert_eq!(eval["prompts"], 24);
    assert_eq!(eval["curves"].as_object().unwrap().len(), 1);
    let again = place.looped(&["resume", "run"]).ok();
    assert!(again.stderr.contains("all 12 steps of this run are done, and evaluated"), "{}", again.stderr);
}

#[test]
fn steps_that_the_metrics_lack_are_told() {
    let place = finished(&[]);
    fs::remove_file(place.path("run/metrics.jsonl")).unwrap();
    let longer = place.looped(&["resume", "run", "training.train_steps=14"]).ok();
    assert!(
        longer.stderr.contains("run/metrics.jsonl has nothing of the steps 0 to 11"),
        "{}",
        longer.stderr
    );
    let longer = place.looped(&["resume", "run", "training.train_steps=16"]).ok();
    assert!(!longer.stderr.contains("has nothing of"), "{}", longer.stderr);
}

#[test]
fn a_damaged_evaluation_is_made_again() {
    let place = finished(&[]);
    let whole = place.read("run/eval.json");
    fs::write(place.path("run/eval.json"), &whole[..whole.len() / 2]).unwrap();
    let resumed = place.looped(&["resume", "run"]).ok();
    assert!(resumed.stderr.contains("warning: run/eval.json: "), "{}", resumed.stderr);
    assert_eq!(place.read("run/eval.json"), whole);
}

#[test]
fn an_edited_config_is_noticed() {
    let place = finished(&["training.train_steps=4"]);
    let config = place.path("run/config.toml");
    let original = place.read("run/config.toml");
    replace(&config, "n_head = 2", "n_head = 4");
    replace(&config, "learning_rate = 0.001", "learning_rate = 0.1");
    let edits = [
        "run/config.toml: was edited",
        "model.block.n_head is 4, was 2",
        "training.learning_rate is 0.1, was 0.001",
    ];
    for command in [&["resume", "run"][..], &["eval", "run"], &["probe", "run", "--prompts", "8"]] {
        place.looped(command).fails(2, &edits);
    }
    // What a run may be resumed with may be edited, too; and its name, which computes nothing.
    fs::write(&config, original).unwrap();
    replace(&config, "train_steps = 4", "train_steps = 8");
    replace(&config, "name = \"tiny\"", "name = \"small\"");
    place.looped(&["resume", "run"]).ok();
    assert!(place.read("run/checkpoints/last/state.json").contains("\"step\": 8"));
}

#[test]
fn run_json_tells_what_made_a_run() {
    let place = finished(&["training.threads=2"]);
    let made = json(&place, "run/run.json");
    assert_eq!((&made["format"], &made["config"]["seed"]), (&1.into(), &3.into()));
    let session = &made["sessions"][0];
    for key in ["started", "version", "commit", "host", "cpu", "instruction_set", "engine", "device"] {
        assert!(session[key].as_str().is_some_and(|text| !text.is_empty()), "{key} in {session}");
    }
    let command: Vec<&str> =
        session["command"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    assert_eq!(command[1..], ["run", "tiny.toml", "--out", "run", "training.threads=2"]);
    assert_eq!((&session["threads"], &session["steps_done"]), (&2.into(), &0.into()));
    assert_eq!((&session["engine"], &session["device"]), (&"fused".into(), &"cpu".into()));
    assert_eq!((&session["end"]["how"], &session["end"]["steps_done"]), (&"finished".into(), &12.into()));

    let resumed = place.looped(&["resume", "run", "training.train_steps=14", "training.threads=1"]).ok();
    for part in ["differs from the one before: threads 2 -> 1", "can differ in their last bits"] {
        assert!(resumed.stderr.contains(part), "{part} in {}", resumed.stderr);
    }
    let sessions = json(&place, "run/run.json")["sessions"].clone();
    assert_eq!(sessions.as_array().unwrap().len(), 2);
    assert_eq!((&sessions[1]["threads"], &sessions[1]["steps_done"]), (&1.into(), &12.into()));
}

#[test]
fn what_an_experiment_leaves_open_is_settled_when_its_run_begins() {
    let place = finished(&["training.train_steps=2"]);
    let config = place.read("run/config.toml");
    for line in ["threads = ", "engine = \"fused\"", "loops = 4"] {
        assert!(config.lines().any(|found| found.starts_with(line)), "{line} in {config}");
    }
    place
        .looped(&["run", "tiny.toml", "training.engine=candle", "training.train_steps=2", "--out", "slow"])
        .ok();
    let session = &json(&place, "slow/run.json")["sessions"][0];
    assert_eq!(session["engine"], "candle");
    assert!(session["why_not_fused"].as_str().is_some_and(|why| !why.is_empty()), "{session}");
    for page in ["report.html", "report.md"] {
        let told = |run: &str, words: &str| {
            let text = place.read(&format!("{run}/{page}"));
            assert!(text.replace("&quot;", "\"").contains(words), "{words} in {run}/{page}");
        };
        told("run", "Trained by the fused engine on cpu.");
        told(
            "slow",
            "Trained by the candle engine on cpu, not by the fused one: training.engine is \"candle\".",
        );
    }
}

#[test]
fn a_diverged_run_keeps_its_last_parameters_and_says_what_to_do() {
    let place = Place::new();
    // 40 prompts of 5 points; the square of one y in the third batch is beyond f32.
    let mut values: Vec<f32> = (0..40 * 5 * 3).map(|i| (i % 7) as f32).collect();
    values[40 * 5 * 2 + 9 * 5] = 1e30;
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let (xs, ys) = bytes.split_at(4 * 40 * 5 * 2);
    let tensors = [
        ("xs", TensorView::new(Dtype::F32, vec![40, 5, 2], xs).unwrap()),
        ("ys", TensorView::new(Dtype::F32, vec![40, 5], ys).unwrap()),
    ];
    fs::write(place.path("data.st"), safetensors::serialize(tensors, None).unwrap()).unwrap();
    let task = "task={type=\"dataset\",path=\"data.st\"}";
    let ran = place.looped(&["run", "tiny.toml", task, "--out", "a run"]);
    let end = &json(&place, "a run/run.json")["sessions"][0]["end"];
    assert_eq!((&end["how"], &end["steps_done"]), (&"diverged".into(), &2.into()), "{}", ran.stderr);
    let state = json(&place, "a run/checkpoints/last/state.json");
    assert_eq!(state["step"], end["steps_done"]);
    let advice = "looped run 'a run/config.toml' training.gradient_clip=1.0 --out 'a run-clipped'";
    assert!(ran.stderr.contains(advice), "{}", ran.stderr);
    ran.fails(1, &["at step 2", "training.gradient_clip", "The run directory is a run", "checkpoints/last"]);
}

#[test]
fn a_model_that_is_worse_than_none_is_told() {
    let place = Place::new();
    let warning = "warning: the model's error is ";
    let ran = place.looped(&["run", "tiny.toml", "training.learning_rate=100", "--out", "hot"]).ok();
    assert!(
        ran.stderr.contains(warning) && ran.stderr.contains("lower training.learning_rate"),
        "{}",
        ran.stderr
    );
    let ran = place.looped(&["run", "tiny.toml", "--out", "cool"]).ok();
    assert!(!ran.stderr.contains(warning), "{}", ran.stderr);
}

#[test]
fn a_run_of_ones_own_loop_is_resumed_and_compared() {
    let place = finished(&[]);
    // What such a loop leaves: config and checkpoints.
    for file in ["metrics.jsonl", "run.json", "eval.json", "report.html"] {
        fs::remove_file(place.path("run").join(file)).unwrap();
    }
    place.looped(&["resume", "run"]).ok();
    fs::remove_file(place.path("run/metrics.jsonl")).ok();
    place.looped(&["compare", "run", "--out", "compared"]).ok();
}

#[cfg(unix)]
#[test]
fn the_first_step_is_not_written_twice_for_tensorboard() {
    use looped_report::tensorboard::{newest, truncate_after};

    let place = Place::new();
    let never = ["training.save_every_steps=400"];
    let mut child = start(&place, &[&["run", "tiny.toml", "--out", "run"][..], &LONG, &never].concat());
    wait_for_lines(&place.path("run/metrics.jsonl"), 3);
    child.kill().unwrap();
    child.wait().unwrap();
    place.looped(&["resume", "run"]).ok();
    let events = |name: &str| name.starts_with("events.");
    let names = fs::read_dir(place.path("run")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| events(&name.to_string_lossy())).count(), 1);
    let file = newest(&place.path("run")).unwrap().unwrap();
    assert_eq!(truncate_after(&file, 0).unwrap(), 2, "the version, and step 0");
}

#[test]
fn two_runs_of_one_name_at_once_take_two_folders() {
    let place = Place::new();
    let run = ["run", "tiny.toml", "training.train_steps=2"];
    let children: Vec<_> = (0..4).map(|_| start(&place, &run)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    for name in ["tiny", "tiny-2", "tiny-3", "tiny-4"] {
        assert!(place.path("runs").join(name).join("eval.json").exists(), "{name}");
    }
}

#[test]
fn a_finished_run_can_be_looked_at_without_touching_it() {
    let place = finished(&[]);
    fs::remove_file(place.path("run/.lock")).unwrap();
    let before = results(&place.path("run"));
    place.looped(&["eval", "run", "--prompts", "4"]).ok();
    place.looped(&["probe", "run", "--prompts", "8", "--loops", "1"]).ok();
    place.looped(&["compare", "run", "--out", "compared"]).ok();
    assert!(before == results(&place.path("run")) && !place.path("run/.lock").exists());
    assert_same(&place.path("run"), &place.path("run"));
}
