//! Signals: each asks for a clean stop that can be resumed, also when it comes twice, as schedulers send it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{LONG, Place, assert_same, signal, start, wait_for_lines, wait_until};
use looped_train::{Metrics, RunDir};

/// A training without end and without a checkpoint before it.
const ENDLESS: [&str; 3] =
    ["training.train_steps=1000000", "training.save_every_steps=1000000", "training.log_every_steps=1"];

fn endless(out: &str) -> Vec<&str> {
    [&["run", "tiny.toml", "training.threads=1", "--out", out][..], &ENDLESS].concat()
}

/// Waits until a process has a handler for SIGUSR1.
fn wait_until_it_listens(child: &Child) {
    let path = format!("/proc/{}/status", child.id());
    wait_until("the program listens", || {
        let status = fs::read_to_string(&path).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim();
        u64::from_str_radix(mask, 16).unwrap() >> 9 & 1 == 1
    });
}

#[test]
fn each_signal_stops_a_training_so_that_it_can_be_resumed_to_the_same_end() {
    let place = Place::new();
    let run = |out| [&["run", "tiny.toml", "--out", out][..], &LONG].concat();
    place.looped(&run("whole")).ok();
    for (name, code) in [("HUP", 129), ("INT", 130), ("USR1", 138), ("TERM", 143)] {
        let mut child = start(&place, &run(name));
        wait_for_lines(&place.path(name).join("metrics.jsonl"), 5);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(code), "{name}");
        place.looped(&["resume", name]).ok();
        assert_same(&place.path("whole"), &place.path(name));
    }
}

/// `timeout`, `scancel` and systemd signal a process and then its group.
#[test]
fn two_signals_close_together_lose_no_step() {
    let place = Place::new();
    for half_milliseconds in 0..20 {
        let out = format!("run{half_milliseconds}");
        let mut child = start(&place, &endless(&out));
        wait_for_lines(&place.path(&out).join("metrics.jsonl"), 3);
        signal(&child, "TERM");
        std::thread::sleep(Duration::from_micros(500 * half_milliseconds));
        // The process may have ended by now, but not been waited for: a signal still finds it.
        signal(&child, "TERM");
        assert_eq!(child.wait().unwrap().code(), Some(143));
        let state = fs::read_to_string(place.path(&out).join("checkpoints/last/state.json"));
        assert!(state.is_ok(), "{half_milliseconds} half milliseconds apart: nothing was saved");
    }
}

#[test]
fn a_second_signal_some_seconds_later_ends_the_program_at_once() {
    let place = Place::new();
    // Steps of minutes.
    let slow = [
        "training.batch_size=200000",
        "model.n_positions=40",
        "model.n_embd=64",
        "training.curriculum.points={start=40,end=40,inc=0,interval=1}",
    ];
    let mut child = start(&place, &[endless("run"), slow.to_vec()].concat());
    wait_until("the training begins", || place.path("run/metrics.jsonl").exists());
    // Into the first step.
    std::thread::sleep(Duration::from_millis(500));
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(2200));
    assert!(child.try_wait().unwrap().is_none(), "the step was too short to show anything");
    signal(&child, "TERM");
    let asked = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[test]
fn a_stop_in_the_evaluation_loses_nothing() {
    let place = Place::new();
    let mut child = place
        .command(&["run", "tiny.toml", "evaluation.prompts=10000000", "--out", "run"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let last = place.path("run/checkpoints/last/state.json");
    wait_until("the training is done", || {
        fs::read_to_string(&last).is_ok_and(|state| state.contains("\"step\": 12"))
    });
    signal(&child, "INT");
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.any(|line| line.ends_with("resume by `looped resume run`")));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!place.path("run/eval.json").exists());
    place.looped(&["resume", "run", "evaluation.prompts=16"]).ok();
    place.looped(&["run", "tiny.toml", "--out", "whole"]).ok();
    assert_same(&place.path("whole"), &place.path("run"));
}

#[test]
fn evaluations_suites_and_probes_stop_too() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "--out", "run"]).ok();
    for command in [
        &["eval", "run", "--prompts", "10000000"][..],
        &["eval", "run", "--prompts", "10000000", "--suite", "ood", "--save"],
        &["probe", "run", "--loops", "1000000", "--save"],
        &["stability", "run", "--loops", "20000", "--save"],
        &["exits", "run", "--loops", "20000", "--save"],
        &["match", "run", "--loops", "10000", "--save"],
    ] {
        let mut child = start(&place, command);
        wait_until_it_listens(&child);
        signal(&child, "USR1");
        let asked = Instant::now();
        assert_eq!(child.wait().unwrap().code(), Some(138), "{command:?}");
        assert!(asked.elapsed() < Duration::from_secs(30), "{command:?}: {:?}", asked.elapsed());
    }
    for file in [
        "run/eval_ood.json",
        "run/probe.json",
        "run/lab/match.json",
        "run/lab/exits.json",
        "run/lab/stability.json",
    ] {
        assert!(!place.path(file).exists(), "{file}");
    }
}

/// systemd and Slurm's `scancel` signal every process of a job.
#[test]
fn a_sweep_and_its_run_signalled_together_lose_no_step() {
    let place = Place::new();
    fs::write(place.path("sweep.toml"), "base = \"tiny.toml\"\nseeds = [0]\n").unwrap();
    for round in 0..3 {
        let out = format!("out{round}");
        let sweep = [&["sweep", "sweep.toml", "training.threads=1", "--out", &out][..], &ENDLESS].concat();
        let mut child = start(&place, &sweep);
        let run = place.path(&out).join("runs/tiny-seed0");
        wait_for_lines(&run.join("metrics.jsonl"), 3);
        let process: i32 = fs::read_to_string(run.join(".lock")).unwrap().trim().parse().unwrap();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(process).unwrap(),
            rustix::process::Signal::TERM,
        )
        .unwrap();
        signal(&child, "TERM");
        signal(&child, "TERM");
        assert_eq!(child.wait().unwrap().code(), Some(143));
        assert!(run.join("checkpoints/last/state.json").exists(), "nothing was saved");
        assert!(!RunDir::is_in_use(&run), "the run still works");
    }
}

#[test]
fn a_pause_is_no_time_of_training() {
    let place = Place::new();
    let mut child = start(&place, &endless("run"));
    let metrics = place.path("run/metrics.jsonl");
    // A pause between two records is in neither's time, so that one may have to be tried again.
    let paused = (0..5).find_map(|_| {
        let lines = fs::read_to_string(&metrics).map_or(0, |text| text.lines().count());
        wait_for_lines(&metrics, lines + 3);
        signal(&child, "STOP");
        std::thread::sleep(Duration::from_millis(1500));
        signal(&child, "CONT");
        let lines = fs::read_to_string(&metrics).unwrap().lines().count();
        wait_for_lines(&metrics, lines + 5);
        let records = Metrics::read(&metrics).unwrap();
        records.into_iter().find(|record| record.steps_per_second < 1.0 / 1.5)
    });
    signal(&child, "TERM");
    child.wait().unwrap();
    let paused = paused.expect("a record with a pause in it");
    assert!(paused.cpu_seconds.unwrap() < 1.0, "{paused:?}");
}

/// A sweep that is killed takes its runs along, saved.
#[test]
fn a_run_ends_with_the_sweep_that_started_it() {
    let place = Place::new();
    let mut child = place
        .command(&endless("run"))
        .env("LOOPED_STOP_WITH_STDIN", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_lines(&place.path("run/metrics.jsonl"), 3);
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(place.path("run/checkpoints/last/state.json").exists());
}

/// `nohup looped run ...`, and then the terminal closes.
#[test]
fn a_signal_that_is_to_be_ignored_is_ignored() {
    let place = Place::new();
    let mut child = std::process::Command::new("sh")
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_looped")])
        .args(endless("run"))
        .current_dir(place.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let metrics = place.path("run/metrics.jsonl");
    wait_for_lines(&metrics, 3);
    signal(&child, "HUP");
    let lines = fs::read_to_string(&metrics).unwrap().lines().count();
    wait_for_lines(&metrics, lines + 50);
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

/// `looped run ... 2>&1 | head -1`, or a lost `ssh`: nobody reads the log any more.
#[test]
fn a_log_whose_reader_is_gone_ends_no_training() {
    let place = Place::new();
    let mut child =
        place.command(&endless("run")).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("step 1/1000000: loss ") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "the log has ended");
    }
    drop(log);
    // Longer than it waits from one line to the next.
    std::thread::sleep(Duration::from_millis(5500));
    assert!(child.try_wait().unwrap().is_none(), "the training has ended");
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(place.path("run/checkpoints/last/state.json").exists());
}
