//! The four parts pass the checks that looped's own pass.

use looped_core::{Baseline, BlockConfig, Injector, Task};
use looped_plugin_example::{CosineRegression, Gated, Gru, KernelMean};
use looped_testing::{baseline_is_causal, is_registered, round_trips, sound, sound_injector, task_is_seeded};

#[test]
fn gru() {
    sound(&Gru {}, 7);
}

#[test]
fn gated() {
    sound_injector(&Gated { gate: 0.3 });
}

#[test]
fn cosine_regression() {
    task_is_seeded(&CosineRegression { waves: 8, frequency: 0.5 });
}

#[test]
fn kernel_mean() {
    baseline_is_causal(&KernelMean { bandwidth: 1.0 });
    baseline_is_causal(&KernelMean { bandwidth: 1e-3 });
}

#[test]
fn tables() {
    let gru = r#"{"type":"gru"}"#;
    round_trips::<dyn BlockConfig>(gru);
    is_registered::<dyn BlockConfig>(gru);
    let gated = r#"{"type":"gated","gate":0.3}"#;
    round_trips::<dyn Injector>(gated);
    is_registered::<dyn Injector>(gated);
    let cosines = r#"{"type":"cosine_regression","waves":3,"frequency":0.1}"#;
    round_trips::<dyn Task>(cosines);
    is_registered::<dyn Task>(cosines);
    let kernel_mean = r#"{"type":"kernel_mean","bandwidth":2.0}"#;
    round_trips::<dyn Baseline>(kernel_mean);
    is_registered::<dyn Baseline>(kernel_mean);
}
