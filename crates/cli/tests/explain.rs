//! `check --explain`.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;

use common::Place;

#[test]
fn check_explains_each_operation_and_still_prints_a_valid_experiment() {
    let place = Place::new();
    let last = ["check", "tiny.toml", "--explain", r#"model.injector={ type = "last_n", n = 4 }"#];
    let told = place.looped(&last).ok().stdout;
    fs::write(place.path("printed.toml"), &told).unwrap();
    place.looped(&["check", "printed.toml"]).ok();
    let line = |start: &str| {
        let found = told.lines().find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no line {start:?} in\n{told}")).to_owned()
    };
    // 5 points are 10 tokens. The last y is never read; 6 come before the last 4.
    assert_eq!(
        line("# of one prompt's"),
        "# of one prompt's 10 tokens, 6 are the same in every loop and computed once; 1 at the end are left out"
    );
    assert!(line("# read_in   linear `_read_in`").contains("prompt"));
    let kept: Vec<String> = line("# h.0       attention").split_whitespace().map(str::to_owned).collect();
    // 3 tokens a loop; kept are the result, 8 numbers, and 2 for each of 2 heads.
    assert_eq!(kept[3..7], ["(tokens,", "8)", "loop", "3"], "{kept:?}");
    assert_eq!(kept.last().unwrap(), &(3 * (8 + 4) * 4).to_string(), "{kept:?}");
}

#[test]
fn a_sweep_is_not_explained() {
    let place = Place::new();
    fs::write(place.path("sweep.toml"), "base = \"tiny.toml\"\n[axes]\nseed = [1, 2]\n").unwrap();
    place.looped(&["check", "sweep.toml", "--explain"]).fails(1, &["--explain takes one experiment"]);
}
