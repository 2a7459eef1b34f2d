//! `looped new`: what it writes, and what it refuses. (`scripts/try-new.sh` builds and runs what it writes.)
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;

use common::Place;

#[test]
fn a_new_crate_depends_on_this_very_workspace_and_its_versions() {
    let place = Place::new();
    let made = place.looped(&["new", "block", "moving_mean"]).ok();
    assert_eq!(made.stdout, "moving_mean\n");
    for next in ["cd moving_mean", "cargo test", "cargo run -- run experiments/moving_mean.toml"] {
        assert!(made.stderr.contains(next), "{}", made.stderr);
    }
    let manifest: toml::Table = place.read("moving_mean/Cargo.toml").parse().unwrap();
    for (dependency, folder) in [("cli", "cli"), ("looped-core", "core"), ("looped-tasks", "tasks")] {
        let path = manifest["dependencies"][dependency]["path"].as_str().unwrap();
        assert!(path.ends_with(&format!("/crates/{folder}")), "{path}");
        assert!(fs::exists(format!("{path}/Cargo.toml")).unwrap(), "{path}");
    }
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
    assert_eq!(place.read("moving_mean/Cargo.lock"), fs::read_to_string(lock).unwrap());
    assert!(place.read("moving_mean/src/lib.rs").contains("pub struct MovingMean"));
    assert!(place.read("moving_mean/tests/checks.rs").contains("sound(&MovingMean"));
    assert!(place.read("moving_mean/README.md").contains("experiments/moving_mean.toml"));
}

#[test]
fn what_cannot_work_is_refused_and_nothing_is_written() {
    let place = Place::new();
    place.looped(&["new", "cake", "sponge"]).fails(2, &["cake", "block", "injector", "task", "baseline"]);
    place.looped(&["new", "block", "Moving-Mean"]).fails(2, &["Moving-Mean", "allowed: lower-case letters"]);
    place.looped(&["new", "block", "match"]).fails(2, &["match", "word of Rust's"]);
    place.looped(&["new", "block", "lstm"]).fails(2, &["lstm", "is a block already, of looped-blocks"]);
    place.looped(&["new", "task", "serde"]).fails(2, &["serde", "is a crate that looped is built of"]);
    place.looped(&["new", "task", "prompts"]).fails(2, &["its type would be Prompts"]);
    place
        .looped(&["new", "task", "wave", "--looped", "nowhere"])
        .fails(2, &["--looped nowhere", "No such file"]);
    place
        .looped(&["new", "task", "wave", "--looped", "."])
        .fails(2, &["--looped .", "it isn't looped's workspace", "crates/cli/Cargo.toml"]);
    // A path that no Cargo.toml can hold.
    for folder in ["crates/cli", "crates/core", "crates/tasks", "crates/testing"] {
        fs::create_dir_all(place.path("odd\nname").join(folder)).unwrap();
        fs::write(place.path("odd\nname").join(folder).join("Cargo.toml"), "").unwrap();
    }
    fs::write(place.path("odd\nname/Cargo.lock"), "").unwrap();
    place
        .looped(&["new", "task", "wave", "--looped", "odd\nname"])
        .fails(2, &["--looped", "control character, and can't stand in a Cargo.toml"]);
    fs::remove_dir_all(place.path("odd\nname")).unwrap();
    let inside = concat!(env!("CARGO_MANIFEST_DIR"), "/../wave");
    place.looped(&["new", "task", "wave", "--out", inside]).fails(2, &["crates/", "member", "--out"]);
    assert!(!fs::exists(inside).unwrap());
    let left: Vec<_> =
        fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["tiny.toml"]);

    fs::create_dir(place.path("wave")).unwrap();
    fs::write(place.path("wave/mine.txt"), "kept").unwrap();
    place.looped(&["new", "task", "wave"]).fails(2, &["wave exists already", "--out"]);
    assert_eq!(place.read("wave/mine.txt"), "kept");
    place
        .looped(&["new", "task", "wave", "--out", "tiny.toml/wave"])
        .fails(1, &["tiny.toml/wave: cannot create"]);
}
