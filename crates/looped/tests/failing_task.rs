//! A task that fails in the middle of a training costs no step: what was done is saved, and a resume gives the same bits as a training
//! that never failed.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use looped::prelude::*;
use looped::study::{self, RunEnd};
use looped::{Error, Kind, ModelDims, Part, Problems, schemars, typetag};
use serde::{Deserialize, Serialize};

static FAILS: AtomicBool = AtomicBool::new(false);

/// y is the first coordinate of x; at one step there are no prompts while `FAILS` says so.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Failing {
    /// The number of the batch that fails, or of the first one of an evaluation.
    batch: u64,
    /// Whether it's an evaluation's.
    evaluation: bool,
}

#[typetag::serde(name = "failing")]
impl Task for Failing {
    fn validate(&self, _: &ModelDims, _: &mut Problems) {}

    fn sample(&self, request: Request, rng: &mut Rng) -> looped::Result<Prompts> {
        let Request { prompts, points, n_dims, first, split, .. } = request;
        let is_it = (split == Split::Evaluation) == self.evaluation && first == self.batch * prompts as u64;
        if is_it && FAILS.load(Ordering::Relaxed) {
            return Err(Error::Data("the disk is gone".to_owned()));
        }
        let xs = rng.normals(prompts * points * n_dims);
        let ys = xs.iter().step_by(n_dims).copied().collect();
        Ok(Prompts::pairs(xs, ys, [prompts, points, n_dims]))
    }
}
looped::register!(Task, "failing", Failing);

fn experiment(task: &str) -> Arc<Experiment> {
    let text = format!(
        r#"
        name = "failing"
        task = {task}
        model = {{ n_dims = 2, n_positions = 4, n_embd = 8, n_layer = 1, block = {{ type = "transformer", n_head = 2 }}, injector = {{ type = "full" }} }}
        [training]
        batch_size = 4
        learning_rate = 1e-3
        train_steps = 8
        n_loop_window = 2
        threads = 1
        validate_every_steps = 3
        [training.curriculum]
        dims = {{ start = 2, end = 2, inc = 0, interval = 1 }}
        points = {{ start = 4, end = 4, inc = 0, interval = 1 }}
        loops = {{ start = 2, end = 2, inc = 0, interval = 1 }}
        [evaluation]
        prompts = 4
        baselines = []
        "#
    );
    Arc::new(Experiment::from_toml(&text).unwrap())
}

fn weights(run: &Path) -> Vec<u8> {
    fs::read(run.join("checkpoints/last/model.safetensors")).unwrap()
}

/// One test: the tasks share the switch.
#[test]
fn what_was_done_before_a_task_failed_is_saved_and_goes_on_to_the_same_bits() {
    assert!(Part::find(Kind::Task, "failing").is_some());
    let place = tempfile::tempdir().unwrap();
    for (name, task, done) in [
        ("in a step", r#"{ type = "failing", batch = 5, evaluation = false }"#, 5),
        ("in a validation", r#"{ type = "failing", batch = 0, evaluation = true }"#, 1),
    ] {
        let [whole, halted] = ["whole", "halted"].map(|kind| place.path().join(format!("{name} {kind}")));
        study::run(experiment(task), &whole, &Device::Cpu, &mut ()).unwrap();

        let (trainer, run) =
            study::begin(experiment(task), &halted, &Device::Cpu, looped::train::Build::default()).unwrap();
        FAILS.store(true, Ordering::Relaxed);
        let told = study::to_the_end(trainer, &run, &mut ()).unwrap_err().to_string();
        FAILS.store(false, Ordering::Relaxed);
        assert_eq!(told, "data: the disk is gone");
        drop(run);
        let state = fs::read_to_string(halted.join("checkpoints/last/state.json")).unwrap();
        assert!(
            state.contains(&format!("\"step\": {done}")) || state.contains(&format!("\"step\":{done}")),
            "{state}"
        );

        let ended = study::resume(&halted, &Device::Cpu, &mut ()).unwrap();
        assert!(matches!(ended, RunEnd::Finished(_)));
        assert!(weights(&halted) == weights(&whole), "{name}");
        let steps = |run: &Path| -> Vec<String> {
            let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
            text.lines().map(|line| line.split(',').take(2).collect()).collect()
        };
        assert_eq!(steps(&halted), steps(&whole), "{name}");
    }
}
