//! `training.precision` on the device that is tested.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use candle_core::Device;
use common::{experiment, tiny};
use looped_train::Trainer;
use serde_json::Value;

fn with_precision(precision: &str) -> Value {
    let mut table = tiny();
    table["model"]["n_embd"] = 128.into();
    table["training"]["batch_size"] = 64.into();
    table["training"]["precision"] = precision.into();
    table
}

#[test]
fn tf32_is_refused_on_the_cpu_beside_what_is_allowed_there() {
    let message = Trainer::new(experiment(with_precision("tf32")), &Device::Cpu).err().unwrap().to_string();
    for expected in ["\"tf32\" needs a CUDA device", "allowed: f32", "bf16"] {
        assert!(message.contains(expected), "{message}");
    }
}

/// What it asserts needs a CUDA device (`LOOPED_TEST_DEVICE=cuda:0`, `scripts/gpu/right.sh`).
#[test]
fn tf32_rounds_the_products_of_its_own_model_only() {
    let device = looped_testing::device();
    if !device.is_cuda() {
        return;
    }
    let trainer = |precision| Trainer::new(experiment(with_precision(precision)), &device).unwrap();
    let losses =
        |trainer: &mut Trainer| -> Vec<f64> { (0..12).map(|_| trainer.step().unwrap().loss).collect() };
    let (mut plain, mut again, mut rounded) = (trainer("f32"), trainer("f32"), trainer("tf32"));
    let (exact, coarse) = (losses(&mut plain), losses(&mut rounded));
    assert_eq!(losses(&mut again), exact, "f32 after tf32 in the same process");
    assert_ne!(coarse, exact);
    for (coarse, exact) in coarse.iter().zip(&exact) {
        assert!((coarse / exact - 1.0).abs() < 1e-2, "{coarse} for {exact}");
    }
}
