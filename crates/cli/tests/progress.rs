//! What long work shows while it lasts: lines in a log, a bar on a terminal.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use common::{Place, signal};

/// Endless work of every kind, and what its lines begin with.
const ENDLESS: [(&[&str], &str); 7] = [
    (
        &["run", "tiny.toml", "evaluation.prompts=10000000", "training.threads=1", "--out", "new"],
        "evaluating: ",
    ),
    (&["eval", "run", "--prompts", "10000000"], "evaluating: "),
    (&["eval", "run", "--prompts", "10000000", "--suite", "ood"], "evaluating: "),
    (&["probe", "run", "--loops", "1000000"], "probing: "),
    (&["match", "run", "--loops", "10000"], "matching: "),
    (&["exits", "run", "--loops", "20000"], "trying exits: "),
    (&["stability", "run", "--loops", "20000"], "looking: "),
];

#[test]
fn evaluations_suites_and_probes_show_in_a_log_how_far_they_are() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "training.threads=1", "--out", "run"]).ok();
    let start = |arguments: &[&str]| -> Child {
        place.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    // All at once: each says something every five seconds.
    let children = ENDLESS.map(|(arguments, begin)| (start(arguments), arguments, begin));
    for (mut child, arguments, begin) in children {
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.find(|line| line.starts_with(begin));
        signal(&child, "TERM");
        let line = line.unwrap_or_else(|| panic!("{arguments:?} shows nothing"));
        let (done, total) = line[begin.len()..].split_once(' ').unwrap().0.split_once('/').unwrap();
        assert!(done.parse::<u64>().unwrap() < total.parse().unwrap(), "{line}");
        // A full pipe would hold it up.
        lines.for_each(drop);
        assert_eq!(child.wait().unwrap().code(), Some(143), "{arguments:?}");
    }
}

/// What a command shows on a terminal: `script`, of util-linux, is one.
fn on_a_terminal(place: &Place, columns: usize, command: &str) -> String {
    let program = env!("CARGO_BIN_EXE_looped");
    let shown = Command::new("script")
        .args(["-qefc", &format!("stty rows 24 cols {columns}; {program} {command}"), "/dev/null"])
        .current_dir(place.path(""))
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .output()
        .expect("script, of util-linux");
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success(), "{text}");
    text
}

#[test]
fn training_evaluations_and_probes_show_a_bar_on_a_terminal() {
    let place = Place::new();
    let trained = on_a_terminal(
        &place,
        100,
        "run tiny.toml training.train_steps=400 evaluation.prompts=2000 --out run",
    );
    for part in ["/400, ", " steps/s, ", " left, loss ", "/2000 prompts, evaluating"] {
        assert!(trained.contains(part), "{part} in {trained:?}");
    }
    let scored = on_a_terminal(&place, 100, "eval run --prompts 3000");
    assert!(scored.contains("/3000 prompts, evaluating"), "{scored:?}");
    let probed = on_a_terminal(&place, 100, "probe run --loops 2 --prompts 64");
    assert!(probed.contains("loops, probing"), "{probed:?}");
    let quiet = on_a_terminal(&place, 100, "eval run --prompts 3000 --quiet");
    assert!(!quiet.contains("evaluating") && quiet.contains("examples"), "{quiet:?}");
    // Nothing wraps on a narrow one.
    let narrow = on_a_terminal(&place, 60, "resume run training.train_steps=800");
    let lines: Vec<String> = narrow
        .split(['\r', '\n'])
        .map(visible)
        .filter(|line| line.contains("steps/s") && !line.contains("evaluating"))
        .collect();
    let widest = lines.iter().map(|line| line.chars().count()).max();
    assert!(widest.is_some_and(|widest| (40..=60).contains(&widest)), "{widest:?} columns: {lines:?}");
    // The steps of the first session are not steps of this one's first moment.
    let rate = |line: &String| {
        line.split(", ")
            .find_map(|part| part.strip_suffix(" steps/s"))
            .and_then(|rate| rate.parse::<f64>().ok())
    };
    assert!(lines.iter().filter_map(rate).all(|rate| rate < 100_000.0), "{lines:?}");
}

/// A line without the escapes that steer the terminal.
fn visible(line: &str) -> String {
    let mut shown = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            letters.find(char::is_ascii_alphabetic);
        } else {
            shown.push(letter);
        }
    }
    shown
}
