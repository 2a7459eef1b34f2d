//! `looped export`: what runs have logged, and were scored, as tables.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;

use common::Place;

/// The lines of a CSV file without quotes, each in its cells.
fn cells(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split(',').collect()).collect()
}

#[test]
fn the_metrics_of_runs_are_one_table_with_the_numbers_of_the_files() {
    let place = Place::new();
    for seed in ["3", "4"] {
        place.looped(&["run", "tiny.toml", &format!("seed={seed}"), "--out", &format!("run{seed}")]).ok();
    }
    let printed = place.looped(&["export", "run3", "run4"]).ok().stdout;
    let table = cells(&printed);
    let header = "run,name,seed,step,loss,dims,points,loops,learning_rate,grad_norm,steps_per_second,skipped,\
                  cpu_seconds,validation_loss_last_stage";
    assert_eq!(table[0].join(","), header);
    // The steps 0, 2, 4, 6, 8, 10 and the last of 12, of each run.
    assert_eq!(table.len(), 1 + 2 * 7);
    for (row, seed) in [(&table[1..8], "3"), (&table[8..], "4")] {
        let file = place.read(&format!("run{seed}/metrics.jsonl"));
        for (row, line) in row.iter().zip(file.lines()) {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(row[..3], [&format!("run{seed}"), "tiny", seed]);
            for (name, cell) in table[0].iter().zip(row).skip(3) {
                let number = record.get(name).and_then(serde_json::Value::as_f64);
                let expected = if *name == "skipped" { Some(0.0) } else { number };
                assert_eq!(cell.parse().ok(), expected, "{name} in {line}");
            }
        }
    }
    let out = place.looped(&["export", "run3", "run4", "--out", "metrics.csv"]).ok().stdout;
    assert_eq!((out.trim(), place.read("metrics.csv")), ("metrics.csv", printed));
    place.looped(&["export", "run3", "--out", "metrics.parquet"]).ok();
    let parquet = fs::read(place.path("metrics.parquet")).unwrap();
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
}

#[test]
fn the_curves_of_an_evaluation_are_a_table_too() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "--out", "run"]).ok();
    let printed = place.looped(&["export", "run", "--what", "evaluation"]).ok().stdout;
    let table = cells(&printed);
    assert_eq!(table[0].join(","), "run,name,seed,curve,axis,at,mean,low,high,median,largest_share");
    let evaluation: serde_json::Value = serde_json::from_str(&place.read("run/eval.json")).unwrap();
    let value = |curve: &str, axis: &str, at: &str| -> f64 {
        let row = table.iter().find(|row| row[3..6] == [curve, axis, at]);
        row.unwrap_or_else(|| panic!("{curve} {axis} {at} in {printed}"))[6].parse().unwrap()
    };
    assert_eq!(evaluation["curves"]["model"]["mean"][4], value("model", "examples", "4"));
    assert_eq!(evaluation["curves"]["least_squares"]["mean"][0], value("least_squares", "examples", "0"));
    assert_eq!(evaluation["per_loop"]["mean"][0], value("model", "loops", "1"));
    // 5 numbers of examples of the model and three baselines, and 4 loops.
    assert_eq!(table.len(), 1 + 4 * 5 + 4);

    place.looped(&["eval", "run", "--loops", "6", "--save", "long"]).ok();
    let long = place.looped(&["export", "run", "--what", "evaluation", "--eval", "long"]).ok().stdout;
    assert!(cells(&long).iter().any(|row| row[3..6] == ["model", "loops", "6"]), "{long}");
}

#[test]
fn what_cannot_be_exported_is_said() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "training.train_steps=1", "--out", "run"]).ok();
    place.looped(&["export", "nowhere"]).fails(2, &["nowhere is not a run directory: it has no config.toml"]);
    place.looped(&["export", "run", "--out", "m.xlsx"]).fails(2, &["m.xlsx", "allowed: .csv, .parquet"]);
    place.looped(&["export", "run", "--eval", "long"]).fails(2, &["--what evaluation"]);
    let long = ["export", "run", "--what", "evaluation", "--eval", "long"];
    place.looped(&long).fails(2, &["run has no evaluation called long", "looped eval run --save long"]);
    fs::remove_file(place.path("run/eval.json")).unwrap();
    place.looped(&["export", "run", "--what", "evaluation"]).fails(2, &["run has no eval.json"]);
}
