//! The validation loss: when it is taken, on what, and that it changes nothing.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::{experiment, tiny, trainer};
use looped_core::{Predictions, Predictor, Prompts};
use looped_train::{Metrics, Record, RunDir, Validation, train};
use serde_json::{Value, json};

/// The tiny experiment with some of its training's settings changed.
fn with(settings: &Value) -> Value {
    let mut table = tiny();
    let training = table["training"].as_object_mut().unwrap();
    settings.as_object().unwrap().iter().for_each(|(key, value)| {
        training.insert(key.clone(), value.clone());
    });
    table
}

fn records(table: Value) -> Vec<Record> {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::create(&folder.path().join("run"), "name = \"tiny\"\n").unwrap();
    train(&mut trainer(table), &run, &mut ()).unwrap();
    Metrics::read(&run.metrics()).unwrap()
}

#[test]
fn it_is_taken_as_often_as_asked_whatever_is_logged() {
    let records = records(with(&json!({ "log_every_steps": 3, "validate_every_steps": 5 })));
    let steps = |of: fn(&Record) -> bool| -> Vec<usize> {
        records.iter().filter(|record| of(record)).map(|record| record.step).collect()
    };
    assert_eq!(steps(|record| record.validation_loss_last_stage.is_some()), [0, 5, 10, 11]);
    assert_eq!(steps(|_| true), [0, 3, 5, 6, 9, 10, 11], "what is validated is logged too");
}

#[test]
fn it_changes_no_step() {
    let losses = |every: usize| -> Vec<f64> {
        let table = with(&json!({ "log_every_steps": 1, "validate_every_steps": every }));
        records(table).iter().map(|record| record.loss).collect()
    };
    assert_eq!(losses(1), losses(1000));
}

#[test]
fn every_step_and_every_seed_has_the_prompts_of_the_last_stage() {
    let mut other = tiny();
    other["seed"] = json!(99);
    other["evaluation"]["seed"] = json!(5);
    let [first, second] = [tiny(), other].map(|table| Validation::of(&experiment(table)).unwrap());
    assert_eq!(first.prompts, second.prompts);
    assert_eq!((first.prompts.points, first.prompts.n_dims), (5, 2));
    assert!(first.prompts.xs.chunks(2).all(|x| x[1] != 0.0), "both coordinates are in use");
}

/// Predicts 0.
struct Zero;

impl Predictor for Zero {
    fn predict(&self, prompts: &Prompts, loops: usize) -> looped_core::Result<Predictions> {
        let values = vec![0.0; loops * prompts.ys.len()];
        Ok(Predictions { values, width: 1, loops, prompts: prompts.prompts, points: prompts.points })
    }
}

#[test]
fn it_is_divided_by_the_normaliser() {
    let validation = Validation::of(&experiment(tiny())).unwrap();
    let loss = validation.loss(&Zero).unwrap();
    // E y^2 = d; the standard deviation of this mean over 512 prompts is about 0.06.
    assert!((loss - 1.0).abs() < 0.25, "{loss}");
    assert_eq!(loss, validation.loss_of(&vec![0.0; validation.prompts.ys.len()]));
    assert_eq!(validation.loss_of(&validation.prompts.ys), 0.0);
}

#[test]
fn the_loss_that_earlier_versions_logged_is_kept_and_not_taken_for_it() {
    let line = r#"{"step":0,"loss":5.7,"dims":5,"points":11,"loops":5,"learning_rate":0.001,"grad_norm":6.0,"steps_per_second":36.2,"validation_loss":5.2}"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    std::fs::write(&path, format!("{line}\n")).unwrap();
    drop(Metrics::open(&path, 1).unwrap());
    let records = Metrics::read(&path).unwrap();
    assert_eq!((records[0].validation_loss_last_stage, records[0].validation_loss), (None, Some(5.2)));
}
