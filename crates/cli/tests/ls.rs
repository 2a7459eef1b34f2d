//! `looped ls`, `report` and `check` of runs: what is there, and its pages drawn again.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;

use common::Place;
use serde_json::Value;

fn entry<'a>(listing: &'a Value, path: &str) -> &'a Value {
    let runs = listing["runs"].as_array().unwrap();
    runs.iter().find(|run| run["path"] == path).unwrap_or_else(|| panic!("{path} in {listing:#}"))
}

#[test]
fn each_run_has_its_state() {
    let place = Place::new();
    for folder in ["runs/done", "runs/deep/stopped", "runs/hot"] {
        place.looped(&["run", "tiny.toml", "--out", folder]).ok();
    }
    for file in ["eval.json", "report.html", "run.json"] {
        fs::remove_file(place.path("runs/deep/stopped").join(file)).unwrap();
    }
    let ended = place.read("runs/hot/run.json").replace("\"finished\"", "\"diverged\"");
    fs::write(place.path("runs/hot/run.json"), ended).unwrap();
    fs::create_dir_all(place.path("runs/broken")).unwrap();
    fs::write(place.path("runs/broken/config.toml"), "name = ").unwrap();

    let listed = place.looped(&["ls", "--json"]).ok();
    let listing: Value = serde_json::from_str(&listed.stdout).unwrap();
    let done = entry(&listing, "runs/done");
    assert_eq!((&done["state"], &done["step"], &done["steps"]), (&"finished".into(), &12.into(), &12.into()));
    assert!(done["loss"].is_f64() && done["validation_loss"].is_f64() && done["error"].is_f64(), "{done}");
    assert_eq!(entry(&listing, "runs/deep/stopped")["state"], "stopped");
    assert_eq!(entry(&listing, "runs/hot")["state"], "diverged");
    assert_eq!(entry(&listing, "runs/broken")["state"], "unreadable");

    let table = place.looped(&["ls", "runs"]).ok().stdout;
    for part in ["run ", "state", "age", "deep/stopped", "12/12", "finished", "diverged"] {
        assert!(table.contains(part), "{part} in\n{table}");
    }
    place.looped(&["ls", "nowhere"]).fails(2, &["nowhere: cannot be read"]);
    assert!(place.looped(&["ls", "."]).ok().stdout.contains("runs/done"));
}

#[test]
fn before_the_first_run_there_is_nothing_to_list_and_that_is_no_mistake() {
    let place = Place::new();
    let listed = place.looped(&["ls"]).ok();
    assert_eq!(
        (listed.stdout.as_str(), listed.stderr.as_str()),
        ("", "note: there are no runs in runs yet\n")
    );
    let listed: Value = serde_json::from_str(&place.looped(&["ls", "--json"]).ok().stdout).unwrap();
    assert_eq!(listed, serde_json::json!({ "sweeps": [], "runs": [] }));
    let listed = place.command(&["ls"]).env("LOOPED_RUNS", "elsewhere").output().unwrap();
    assert!(listed.status.success());
    assert_eq!(String::from_utf8_lossy(&listed.stderr), "note: there are no runs in elsewhere yet\n");
    // A folder that is named is meant.
    place.looped(&["ls", "runs"]).fails(2, &["runs: cannot be read"]);
    // A file where the folder should be is no beginning either.
    fs::write(place.path("runs"), "").unwrap();
    place.looped(&["ls"]).fails(2, &["runs: cannot be read"]);
}

#[test]
fn a_sweep_is_listed_with_its_runs() {
    let place = Place::new();
    fs::write(place.path("sweep.toml"), "base = \"tiny.toml\"\nseeds = [0, 1]\n").unwrap();
    place.looped(&["sweep", "sweep.toml", "training.train_steps=2", "--out", "runs/s"]).ok();
    let listing: Value = serde_json::from_str(&place.looped(&["ls", "--json"]).ok().stdout).unwrap();
    let sweep = &listing["sweeps"][0];
    assert_eq!((&sweep["state"], &sweep["finished"]), (&"finished".into(), &2.into()), "{listing:#}");
    assert_eq!(sweep["runs"].as_array().unwrap().len(), 2);
    assert_eq!(sweep["planned"], 2);
    let table = place.looped(&["ls"]).ok().stdout;
    assert!(table.contains("2 of 2 runs") && table.contains("tiny-seed1"), "{table}");
    // One that has not begun yet.
    fs::remove_dir_all(place.path("runs/s/runs/tiny-seed1")).unwrap();
    let listing: Value = serde_json::from_str(&place.looped(&["ls", "--json"]).ok().stdout).unwrap();
    let sweep = &listing["sweeps"][0];
    assert_eq!(
        (&sweep["state"], &sweep["finished"], &sweep["planned"]),
        (&"stopped".into(), &1.into(), &2.into())
    );
}

#[test]
fn a_report_is_drawn_again() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "--out", "run"]).ok();
    let before = place.read("run/report.html");
    fs::remove_file(place.path("run/report.html")).unwrap();
    fs::remove_dir_all(place.path("run/plots")).unwrap();
    let drawn = place.looped(&["report", "run"]).ok();
    assert_eq!(drawn.stdout.trim(), "run/report.html");
    assert_eq!(place.read("run/report.html"), before);
    assert!(place.path("run/plots/error.svg").is_file());
    fs::remove_file(place.path("run/eval.json")).unwrap();
    place.looped(&["report", "run"]).fails(2, &["run is not evaluated yet"]);
}

#[test]
fn a_run_is_checked_as_its_experiment_is() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "--out", "run", "training.train_steps=2"]).ok();
    for what in ["run", "run/config.toml", "tiny.toml"] {
        let checked = place.looped(&["check", what, "--json"]).ok();
        let checked: Value = serde_json::from_str(&checked.stdout).unwrap();
        assert_eq!(checked["experiment"]["name"], "tiny", "{what}");
        assert!(checked["parameters"].as_u64().unwrap() > 100 && checked["flops"].as_f64().unwrap() > 1e3);
        assert_eq!(checked["engine"], "fused");
    }
    assert!(place.looped(&["check", "run"]).ok().stdout.contains("# engine: fused"));
    let candle = place.looped(&["check", "tiny.toml", "training.engine=candle"]).ok().stdout;
    assert!(candle.contains("# engine: candle (not fused: "), "{candle}");
}
