//! `training.threads` is the number of threads that a command computes with, whichever engine it runs on; and the candle
//! engine's memory isn't given back to the system at each step.
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
