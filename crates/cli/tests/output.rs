//! What can't be printed: a log that can't be written ends nothing, a result that can't be printed is one message.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs::File;
use std::process::Output;

use common::{Place, Ran};

fn ran(output: Output) -> Ran {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

#[test]
fn a_full_log_ends_no_command() {
    let place = Place::new();
    place.command(&["run", "tiny.toml", "--out", "run"]).stderr(full()).output().map(ran).unwrap().ok();
    assert!(place.path("run/report.html").exists());
    // Nor is it a panic where there is nothing but a message.
    let refused = place.command(&["run", "nothing.toml"]).stderr(full()).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn a_result_that_cannot_be_printed_is_one_message() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "--out", "run"]).ok();
    let commands: [&[&str]; 15] = [
        &["--help"],
        &["--version"],
        &["list"],
        &["schema"],
        &["check", "tiny.toml"],
        &["eval", "run"],
        &["eval", "run", "--json"],
        &["probe", "run", "--prompts", "8"],
        &["match", "run", "--prompts", "8"],
        &["exits", "run", "--prompts", "8"],
        &["stability", "run", "--prompts", "8"],
        &["resume", "run"],
        &["compare", "run", "--out", "compared"],
        &["run", "tiny.toml", "training.train_steps=1", "--out", "another"],
        &["new", "block", "mine", "--out", "mine"],
    ];
    for command in commands {
        let ran = place.command(command).stdout(full()).output().map(ran).unwrap();
        assert_eq!(ran.stderr.matches("error: ").count(), 1, "{command:?}: {}", ran.stderr);
        ran.fails(1, &["error: stdout: cannot write: No space left on device"]);
    }
    assert!(place.path("another/report.html").exists() && place.path("compared/report.html").exists());
}

#[test]
fn names_that_steer_a_terminal_are_shown_escaped() {
    let place = Place::new();
    let ran = place.looped(&["check", "a\u{1b}]0;pwn\u{7}.toml"]);
    assert!(!ran.stderr.contains('\u{1b}') && !ran.stderr.contains('\u{7}'), "{:?}", ran.stderr);
    ran.fails(2, &["a\\u{1b}]0;pwn\\u{7}.toml"]);
}

#[test]
fn the_version_names_the_commit() {
    let version = Place::new().looped(&["--version"]).ok().stdout;
    let here = std::process::Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "HEAD"])
        .output();
    let here = here.ok().filter(|output| output.status.success());
    match here.map(|output| String::from_utf8(output.stdout).unwrap()) {
        Some(commit) => assert!(version.contains(&commit[..10]), "{version} is not of {commit}"),
        None => assert!(version.starts_with("looped 0."), "{version}"),
    }
}
