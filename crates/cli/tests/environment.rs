//! `training.threads` is the number of threads that a command computes with, whichever engine it runs on; and the candle
//! engine's memory isn't given back to the system at each step. The switches that look for mistakes do what they say.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use common::Place;

/// The most threads that a run of an engine has at a time, its evaluation included.
fn most_threads(place: &Place, engine: &str, threads: usize) -> usize {
    let (engine_key, threads_key) =
        (format!("training.engine={engine}"), format!("training.threads={threads}"));
    let out = format!("--out={engine}-{threads}");
    let size = ["model.n_embd=32", "training.batch_size=64", "training.train_steps=4"];
    let arguments = [&["run", "tiny.toml", &engine_key, &threads_key, &out][..], &size].concat();
    let mut child = place
        .command(&arguments)
        .env_remove("RAYON_NUM_THREADS")
        .env_remove("CANDLE_NUM_THREADS")
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let tasks = format!("/proc/{}/task", child.id());
    let mut most = 0;
    loop {
        most = most.max(fs::read_dir(&tasks).map_or(0, Iterator::count));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return most;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn both_engines_and_the_evaluation_compute_with_the_threads_that_are_asked_for() {
    let place = Place::new();
    for engine in ["candle", "fused"] {
        let [one, six] = [1, 6].map(|threads| most_threads(&place, engine, threads));
        // The first thread, one that hears signals, and a pool of one for what runs on rayon and one for the engine.
        assert!(one <= 4, "{engine}: {one} threads for 1");
        assert!(six >= 6, "{engine}: {six} threads for 6");
    }
}

/// The pages that a run of so many steps on candle has asked the system for.
#[cfg(target_env = "gnu")]
fn page_faults(place: &Place, steps: usize) -> u64 {
    let (steps, out) = (format!("training.train_steps={steps}"), format!("--out=pages-{steps}"));
    let size = ["training.engine=candle", "training.threads=1", "model.n_embd=32", "training.batch_size=64"];
    let fixed = "training.curriculum={dims=2, points=5, loops=8}";
    let once = ["training.validate_every_steps=1000000", "evaluation={prompts=2, loops=1, baselines=[]}"];
    let arguments = [&["run", "tiny.toml", fixed, &steps, &out][..], &size, &once].concat();
    let mut child = place.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let stat = format!("/proc/{}/stat", child.id());
    let mut faults = 0;
    loop {
        let text = fs::read_to_string(&stat).unwrap_or_default();
        let after_name = text.rsplit(')').next().unwrap_or_default();
        let field = after_name.split_whitespace().nth(7).and_then(|field| field.parse().ok());
        faults = faults.max(field.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return faults;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
#[cfg(target_env = "gnu")]
fn more_steps_on_candle_do_not_ask_the_system_for_more_memory() {
    let place = Place::new();
    let [few, many] = [5, 45].map(|steps| page_faults(&place, steps));
    let each = many.saturating_sub(few) / 40;
    assert!(each < 1000, "{each} page faults a step: memory is given back and got again");
}

/// A run under a switch: how it ended, and the most memory of its own that it was seen with, in KiB. Pages of the program aren't counted: how
/// many of them are there depends on what the machine does besides.
fn under(place: &Place, switch: Option<(&str, &str)>, out: &str, settings: &[&str]) -> (bool, String, u64) {
    let arguments = [&["run", "tiny.toml", "training.engine=fused", "--out", out][..], settings].concat();
    let mut command = place.command(&arguments);
    command.envs(switch).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let own = text
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:")?.trim().split(' ').next()?.parse().ok());
        most = most.max(own.unwrap_or(0));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let ended = child.wait_with_output().unwrap();
    (ended.status.success(), String::from_utf8(ended.stderr).unwrap(), most)
}

#[test]
fn an_arena_without_sharing_takes_more_memory_and_changes_no_bit() {
    let place = Place::new();
    // Eight blocks and forty tokens have megabytes to share.
    let size = [
        "model.n_embd=128",
        "model.n_layer=8",
        "model.n_positions=20",
        "training.curriculum.points=20",
        "training.train_steps=2",
        "evaluation.prompts=8",
        "training.threads=1",
    ];
    let weights =
        |out: &str| fs::read(place.path(&format!("{out}/checkpoints/last/model.safetensors"))).unwrap();
    let (ok, said, shared) = under(&place, None, "shared", &size);
    assert!(ok, "{said}");
    for value in ["apart", "nan"] {
        let (ok, said, apart) = under(&place, Some(("LOOPED_ARENA", value)), value, &size);
        assert!(ok, "{said}");
        assert!(apart > shared + 2000, "{value}: {apart} KiB, and {shared} KiB where buffers share");
        assert!(weights(value) == weights("shared"), "{value} changes the weights");
    }
    for (variable, allowed) in [("LOOPED_ARENA", "apart, nan"), ("LOOPED_FIND", "nan")] {
        let (ok, said, _) = under(&place, Some((variable, "alone")), "wrong", &size);
        assert!(!ok && said.contains(&format!("{variable} is \"alone\"; allowed: {allowed}")), "{said}");
    }
}
