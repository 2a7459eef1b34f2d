//! Optimisers, schedules and averages over a training, and across a resume; steps that aren't finite.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::cell::Cell;
use std::fs;

use common::{tiny, trainer};
use looped_train::{
    Checkpoint, Metrics, Observer, Outcome, Record, RunDir, StepGradients, TrainError, Trainer, encode, train,
};
use serde_json::{Value, json};

const OPTIMIZERS: [&str; 3] = [
    r#"{ "type": "adam", "betas": [0.8, 0.9] }"#,
    r#"{ "type": "adamw", "weight_decay": 0.1 }"#,
    r#"{ "type": "muon", "scale": "shape" }"#,
];
const SCHEDULES: [&str; 3] = [
    r#"{ "type": "linear", "warmup": 4, "final": 0.1 }"#,
    r#"{ "type": "cosine", "warmup": 2 }"#,
    r#"{ "type": "wsd", "warmup": 3, "decay": 6, "final": 0.2 }"#,
];

/// [`tiny`] with some keys of `training`.
fn with(keys: Value) -> Value {
    let mut table = tiny();
    for (key, value) in keys.as_object().unwrap() {
        table["training"][key] = value.clone();
    }
    table
}

/// All that a checkpoint's files would hold.
fn bytes(checkpoint: &Checkpoint) -> Vec<Vec<u8>> {
    let mut files = vec![encode(&checkpoint.model).unwrap(), encode(&checkpoint.optimizer).unwrap()];
    files.extend(checkpoint.averaged.as_ref().map(|averaged| encode(averaged).unwrap()));
    files.push(serde_json::to_vec(&checkpoint.state).unwrap());
    files
}

#[test]
fn a_resume_in_the_middle_of_each_schedule_with_each_optimiser_and_an_average_is_exact() {
    let folder = tempfile::tempdir().unwrap();
    for optimizer in OPTIMIZERS {
        for schedule in SCHEDULES {
            let part = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            let table = with(json!({ "optimizer": part(optimizer), "schedule": part(schedule), "ema": 0.9 }));
            let mut whole = trainer(table.clone());
            let rates: Vec<f64> = (0..12).map(|_| whole.step().unwrap().learning_rate).collect();
            assert!(rates.windows(2).any(|pair| pair[0] != pair[1]), "{rates:?}");
            let end = bytes(&whole.checkpoint().unwrap());
            assert_eq!(end.len(), 4);
            for stop in [1, 5, 9] {
                let mut first = trainer(table.clone());
                (0..stop).for_each(|_| _ = first.step().unwrap());
                let place = folder.path().join("checkpoint");
                first.checkpoint().unwrap().write(&place).unwrap();
                let mut second = trainer(table.clone());
                second.restore(&Checkpoint::read(&place).unwrap()).unwrap();
                assert_eq!(second.learning_rate(), rates[stop]);
                (stop..12).for_each(|_| _ = second.step().unwrap());
                assert!(bytes(&second.checkpoint().unwrap()) == end, "{optimizer} {schedule} at {stop}");
            }
        }
    }
}

#[test]
fn what_is_named_by_its_default_is_what_is_done_without_a_name() {
    let weights = |table: Value| {
        let mut trainer = trainer(table);
        (0..12).for_each(|_| _ = trainer.step().unwrap());
        bytes(&trainer.checkpoint().unwrap())
    };
    let plain = weights(with(json!({ "weight_decay": 0.1 })));
    let named =
        json!({ "weight_decay": 0.1, "optimizer": { "type": "adam" }, "schedule": { "type": "constant" } });
    assert!(weights(with(named)) == plain);
    assert!(weights(with(json!({ "optimizer": { "type": "adamw", "weight_decay": 0.1 } }))) != plain);
}

#[test]
fn the_average_is_the_recurrence_over_the_weights_after_each_step() {
    let mut trainer = trainer(with(json!({ "ema": 0.75 })));
    let weights = |trainer: &Trainer| -> Vec<f32> {
        trainer
            .model()
            .values()
            .unwrap()
            .values()
            .flat_map(|t| t.flatten_all().unwrap().to_vec1().unwrap())
            .collect()
    };
    let mut expected: Vec<f64> = weights(&trainer).into_iter().map(f64::from).collect();
    for _ in 0..8 {
        trainer.step().unwrap();
        for (mean, value) in expected.iter_mut().zip(weights(&trainer)) {
            *mean = 0.75 * *mean + 0.25 * f64::from(value);
        }
    }
    let averaged = trainer.averaged().unwrap().values().unwrap();
    let found = averaged.values().flat_map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap());
    for (found, expected) in found.zip(&expected) {
        assert!((f64::from(found) - expected).abs() < 1e-6, "{found}, expected {expected}");
    }
    assert_ne!(trainer.validation_loss().unwrap(), trainer.averaged_validation_loss().unwrap().unwrap());
}

#[test]
fn a_checkpoint_with_and_one_without_an_average_are_not_taken_for_each_other() {
    let (plain, averaged) = (trainer(tiny()), trainer(with(json!({ "ema": 0.9 }))));
    let (mut one, mut other) = (trainer(tiny()), trainer(with(json!({ "ema": 0.9 }))));
    let message = one.restore(&averaged.checkpoint().unwrap()).unwrap_err().to_string();
    assert_eq!(message, "training.ema: is not set, and the checkpoint has averages");
    let message = other.restore(&plain.checkpoint().unwrap()).unwrap_err().to_string();
    assert_eq!(message, "training.ema: is set, and the checkpoint has no averages");
    assert!(averaged.averaged_validation_loss().unwrap().is_some() && plain.averaged().is_none());
}

#[test]
fn a_damaged_average_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("checkpoint");
    trainer(with(json!({ "ema": 0.9 }))).checkpoint().unwrap().write(&place).unwrap();
    let file = place.join("model_ema.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let message = Checkpoint::read(&place).unwrap_err().to_string();
    assert!(message.contains("model_ema.safetensors: does not match its checksum"), "{message}");
}

/// A step whose loss is no number.
fn bad_step(trainer: &mut Trainer) -> looped_train::Result<looped_train::StepReport> {
    let stage = trainer.experiment().training.curriculum.at(trainer.steps_done());
    let found = trainer.gradients(stage).unwrap();
    trainer.apply(StepGradients { loss: f64::NAN, ..found })
}

#[test]
fn steps_that_are_not_finite_change_nothing_are_counted_and_end_the_training_after_so_many_in_a_row() {
    let table = with(json!({ "skip_non_finite": 2, "ema": 0.9 }));
    let mut trainer = trainer(table.clone());
    trainer.step().unwrap();
    let before = bytes(&trainer.checkpoint().unwrap());
    assert!(bad_step(&mut trainer).unwrap().skipped && bad_step(&mut trainer).unwrap().skipped);
    let after = bytes(&trainer.checkpoint().unwrap());
    assert!(before[..3] == after[..3], "weights, moments and averages");
    assert_eq!((trainer.steps_done(), trainer.steps_skipped()), (3, 2));
    // The row goes on over a resume.
    let mut resumed = common::trainer(table);
    resumed.restore(&trainer.checkpoint().unwrap()).unwrap();
    let message = bad_step(&mut resumed).unwrap_err().to_string();
    for part in [
        "the loss is NaN at step 3, after 2 steps in a row that training.skip_non_finite has passed over",
        "lower",
    ] {
        assert!(message.contains(part), "{message}");
    }
    // A good step ends it.
    assert!(!trainer.step().unwrap().skipped);
    assert!(bad_step(&mut trainer).unwrap().skipped && bad_step(&mut trainer).unwrap().skipped);
    assert!(bad_step(&mut trainer).is_err());
    assert_eq!((trainer.steps_done(), trainer.steps_skipped()), (6, 4));
    let folder = tempfile::tempdir().unwrap();
    trainer.checkpoint().unwrap().write(&folder.path().join("c")).unwrap();
    assert_eq!(Checkpoint::read(&folder.path().join("c")).unwrap().state.optimizer_updates, 2);
}

/// A loss that is a number says nothing of its gradient: one number of that is infinite here, or none.
#[test]
fn a_gradient_that_is_not_finite_is_passed_over_where_the_loss_is() {
    let mut trainer = trainer(with(json!({ "skip_non_finite": 1, "ema": 0.9, "gradient_clip": 1.0 })));
    trainer.step().unwrap();
    for (bad, name) in [(f32::INFINITY, "inf"), (f32::NAN, "NaN")] {
        let before = bytes(&trainer.checkpoint().unwrap());
        let mut step = || {
            let mut found = trainer.gradients(trainer.stage()).unwrap();
            assert!(found.loss.is_finite());
            let middle = found.gradients.len() / 2;
            found.gradients[middle] = bad;
            trainer.apply(found)
        };
        let report = step().unwrap();
        assert!(report.skipped && !report.grad_norm.is_finite() && report.loss.is_finite(), "{report:?}");
        let message = step().unwrap_err().to_string();
        assert!(message.contains(&format!("the gradient's norm is {name}")), "{message}");
        let after = bytes(&trainer.checkpoint().unwrap());
        assert!(before[..3] == after[..3], "weights, moments and averages");
        assert!(!trainer.step().unwrap().skipped);
    }
    assert_eq!(trainer.steps_skipped(), 2);
}

/// Stops a run before a step.
struct StopBefore(usize, Cell<usize>);

impl Observer for StopBefore {
    fn stepped(&mut self, step: usize, _: f64) {
        self.1.set(step + 1);
    }

    fn wants_stop(&self) -> bool {
        self.1.get() >= self.0
    }
}

#[test]
fn a_run_that_diverges_passes_over_its_steps_counts_them_and_ends_with_a_message() {
    let folder = tempfile::tempdir().unwrap();
    let table = with(json!({ "learning_rate": 1e30, "skip_non_finite": 4, "log_every_steps": 1 }));
    let records = |name: &str, stop: Option<usize>| -> (Vec<Record>, String) {
        let run = RunDir::create(&folder.path().join(name), "").unwrap();
        let mut first = trainer(table.clone());
        if let Some(step) = stop {
            let outcome = train(&mut first, &run, &mut StopBefore(step, Cell::new(0))).unwrap();
            assert_eq!(outcome, Outcome::Stopped);
            first = trainer(table.clone());
            first.restore(&run.checkpoints().newest_good().unwrap().0).unwrap();
        }
        let error = train(&mut first, &run, &mut ()).unwrap_err();
        assert!(matches!(error, TrainError::NonFinite { before: 4, .. }), "{error}");
        (Metrics::read(&run.metrics()).unwrap(), error.to_string())
    };
    let (whole, message) = records("whole", None);
    let counted: Vec<usize> = whole.iter().map(|record| record.skipped).collect();
    assert!(counted.ends_with(&[0, 1, 2, 3, 4]), "{counted:?}");
    assert!(whole.last().unwrap().loss.is_nan() && message.contains("after 4 steps in a row"), "{message}");
    let (resumed, again) = records("resumed", Some(whole.len() - 2));
    assert_eq!(again, message);
    assert_eq!(resumed.iter().map(|record| record.skipped).collect::<Vec<_>>(), counted);
}

#[test]
fn the_average_begins_at_the_weights_that_a_file_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let mut other = trainer(tiny());
    (0..3).for_each(|_| _ = other.step().unwrap());
    let expected = encode(&other.model().values().unwrap()).unwrap();
    fs::write(&path, &expected).unwrap();
    let mut table = with(json!({ "ema": 0.9 }));
    let loaded = trainer(table.clone());
    loaded.load_file(&path).unwrap();
    table["model"]["pretrained_path"] = path.to_str().unwrap().into();
    for trainer in [loaded, trainer(table)] {
        let checkpoint = trainer.checkpoint().unwrap();
        assert!(encode(&checkpoint.model).unwrap() == expected);
        assert!(encode(&checkpoint.averaged.unwrap()).unwrap() == expected);
    }
}

/// A longer training is the same training up to here, or another one.
#[test]
fn a_run_is_made_longer_only_where_its_schedule_had_given_its_steps_the_same_rates() {
    let folder = tempfile::tempdir().unwrap();
    for (name, schedule, stop, fits) in [
        ("a", json!({ "type": "constant" }), 12, true),
        ("b", json!({ "type": "wsd", "warmup": 2, "decay": 4 }), 8, true),
        ("c", json!({ "type": "wsd", "warmup": 2, "decay": 4 }), 9, false),
        ("d", json!({ "type": "cosine", "warmup": 6 }), 6, true),
        ("e", json!({ "type": "cosine", "warmup": 6 }), 7, false),
    ] {
        let mut trainer = trainer(with(json!({ "schedule": schedule })));
        let text = trainer.experiment().to_toml().unwrap();
        let run = RunDir::create(&folder.path().join(name), &text).unwrap();
        train(&mut trainer, &run, &mut StopBefore(stop, Cell::new(0))).unwrap();
        let longer = run.experiment(&["training.train_steps=24".to_owned()]);
        match longer {
            Ok((experiment, _)) => assert!(fits && experiment.training.train_steps == 24, "{name}"),
            Err(error) => {
                let part = format!(
                    "training.train_steps: is 12 in this run, and `{}` made",
                    schedule["type"].as_str().unwrap()
                );
                assert!(!fits && error.to_string().contains(&part), "{name}: {error}");
            }
        }
    }
}
