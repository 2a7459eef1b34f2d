//! Training on the CUDA engine, on a fake GPU: the CPU's losses, exact resume, and what is said where something is missing.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is a panic")]

#[path = "../../gpu/tests/fake/mod.rs"]
mod fake;

use std::sync::Arc;

use candle_core::{Device, Tensor};
use looped_blocks as _;
use looped_config::Experiment;
use looped_tasks as _;
use looped_train::{Checkpoint, Target, Trainer};

const BASE: &str = r#"
name = "tiny"
seed = 3
[task]
type = "linear_regression"
[model]
n_dims = 3
n_positions = 6
n_embd = 16
n_layer = 1
[model.block]
type = "transformer"
n_head = 2
[model.injector]
type = "last_n"
n = 5
[training]
batch_size = 4
learning_rate = 1e-3
weight_decay = 1e-2
gradient_clip = 1.0
train_steps = 6
n_loop_window = 2
[training.curriculum]
dims = { start = 2, end = 3, inc = 1, interval = 2 }
points = { start = 5, end = 6, inc = 1, interval = 3 }
loops = { start = 3, end = 3, inc = 1, interval = 100 }
"#;

fn experiment(more: &str) -> Arc<Experiment> {
    Arc::new(
        Experiment::from_toml(
            &BASE.replace("[training.curriculum]", &format!("{more}\n[training.curriculum]")),
        )
        .unwrap(),
    )
}

/// The same of another block: of a recurrence, or of a state space, whose numbers are computed of parameters.
fn with_block(block: &str) -> Arc<Experiment> {
    let text = BASE.replace("type = \"transformer\"\nn_head = 2", &format!("type = \"{block}\""));
    Arc::new(Experiment::from_toml(&text).unwrap())
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn same(a: &Checkpoint, b: &Checkpoint) -> bool {
    let bits = |of: &Checkpoint| -> Vec<(String, Vec<u32>)> {
        let all = of.model.iter().chain(&of.optimizer);
        all.map(|(name, value)| (name.clone(), floats(value).iter().map(|v| v.to_bits()).collect())).collect()
    };
    bits(a) == bits(b) && a.state == b.state
}

#[test]
fn training_on_the_gpu_is_training_on_the_cpu() {
    fake::passes("inner_training", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_training() {
    // Adam on the GPU; on the host, for want of its update there.
    for experiment in [experiment(""), experiment("ema = 0.9"), with_block("lstm"), with_block("ssm")] {
        let mut cpu = Trainer::new(Arc::clone(&experiment), &Device::Cpu).unwrap();
        let mut gpu = Trainer::new(experiment, Target::Cuda(0)).unwrap();
        assert_eq!(gpu.model().engine(), "cuda");
        for _ in 0..6 {
            let (a, b) = (cpu.step().unwrap(), gpu.step().unwrap());
            assert!((a.loss - b.loss).abs() < 1e-5 * a.loss, "{a:?} {b:?}");
            assert!((a.grad_norm - b.grad_norm).abs() < 1e-4 * a.grad_norm, "{a:?} {b:?}");
        }
        let (a, b) = (cpu.checkpoint().unwrap(), gpu.checkpoint().unwrap());
        assert_eq!(a.state.optimizer_updates, b.state.optimizer_updates);
        // Parameters whose gradient is nothing but rounding, as a key's bias, move by Adam all the same: the moments tell.
        let all = |of: &Checkpoint, which: &str| -> Vec<f32> {
            of.optimizer
                .iter()
                .filter(|(key, _)| key.starts_with(which))
                .flat_map(|(_, v)| floats(v))
                .collect()
        };
        for which in ["first", "second"] {
            let (a, b) = (all(&a, which), all(&b, which));
            let largest = a.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
            let far = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(
                a.len() == b.len() && largest > 0.0 && far < 1e-4 * largest,
                "{which}: {far} of {largest}"
            );
        }
        assert!((cpu.validation_loss().unwrap() / gpu.validation_loss().unwrap() - 1.0).abs() < 1e-4);
    }
}

#[test]
fn a_run_goes_on_to_the_same_bits() {
    fake::passes("inner_resume", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_resume() {
    [experiment(""), with_block("lstm"), with_block("ssm")].into_iter().for_each(resumes);
}

fn resumes(experiment: Arc<Experiment>) {
    let mut whole = Trainer::new(Arc::clone(&experiment), Target::Cuda(0)).unwrap();
    let mut first = Trainer::new(Arc::clone(&experiment), Target::Cuda(0)).unwrap();
    for step in 0..6 {
        whole.step().unwrap();
        if step < 3 {
            first.step().unwrap();
        }
        // Looking on changes nothing.
        if step == 1 {
            whole.validation_loss().unwrap();
            whole.checkpoint().unwrap();
            assert!(whole.model().parameters().count() > 0);
        }
    }
    let saved = first.checkpoint().unwrap();
    let mut second = Trainer::resumed(Arc::clone(&experiment), Target::Cuda(0), &saved).unwrap();
    for _ in 3..6 {
        second.step().unwrap();
    }
    assert!(same(&whole.checkpoint().unwrap(), &second.checkpoint().unwrap()));
    // A step in two halves takes the parameters back, and later steps give them again.
    let mut halves = Trainer::resumed(Arc::clone(&experiment), Target::Cuda(0), &saved).unwrap();
    let stage = halves.stage();
    let found = halves.gradients(stage).unwrap();
    halves.apply(found).unwrap();
    let mut at_once = Trainer::resumed(Arc::clone(&experiment), Target::Cuda(0), &saved).unwrap();
    at_once.step().unwrap();
    let (a, b) = (halves.step().unwrap().loss, at_once.step().unwrap().loss);
    assert!((a - b).abs() < 1e-5 * a, "{a} {b}");
}

#[test]
fn a_gradient_that_is_not_finite_changes_nothing() {
    fake::passes("inner_not_finite", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_not_finite() {
    let mut trainer = Trainer::new(experiment(""), Target::Cuda(0)).unwrap();
    trainer.step().unwrap();
    let mut values = trainer.model().values().unwrap();
    let weight = values.get_mut("_read_out.weight").unwrap();
    *weight = (&*weight * f64::NAN).unwrap();
    trainer.model().load(&values).unwrap();
    let before = trainer.checkpoint().unwrap();
    assert_eq!(before.state.optimizer_updates, 1, "the moments stay where weights are replaced");
    let message = trainer.step().unwrap_err().to_string();
    assert!(message.contains("step 1"), "{message}");
    assert!(same(&before, &trainer.checkpoint().unwrap()), "the step changed something");
}
