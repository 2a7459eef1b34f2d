//! The four parts pass the checks that looped's own pass.

use looped_core::{Baseline, BlockConfig, Injector, Task};
use looped_plugin_example::{CosineRegression, Gated, Gru, KernelMean};
use looped_testing::{
    baseline_is_causal, block_is_causal, block_splits, gradients_are_true, injector_gradients_are_true,
    injector_keeps_the_shape, injector_prefix_is_invariant, is_registered, round_trips, sound,
    sound_injector, task_is_seeded,
};

const WIDTH: usize = 12;

#[test]
fn gru() {
    sound(&Gru {}, WIDTH);
    gradients_are_true(&Gru {}, WIDTH, &[]);
    block_is_causal(&Gru {}, WIDTH);
    block_splits(&Gru {}, WIDTH);
}

#[test]
fn gated() {
    let gated = Gated { gate: 0.3 };
    sound_injector(Box::new(Gated { gate: 0.3 }), &Gru {}, WIDTH);
    injector_keeps_the_shape(&gated);
    injector_prefix_is_invariant(&gated);
    injector_gradients_are_true(&gated);
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
