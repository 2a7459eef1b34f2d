//! The fused engine computes what the candle engine does: loss, every gradient, predictions.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod cases;
mod engines;
mod repeat;

use cases::{Case, cases};
use engines::{Engines, assert_close, assert_gradients_close};
use looped_core::LoopPlan;
use looped_fused::Precision;
use proptest::prelude::*;

const BLOCKS: [&str; 3] =
    [r#"{"type":"transformer","n_head":2}"#, r#"{"type":"lstm"}"#, r#"{"type":"ssm","n_state":3}"#];

/// Loss and gradients of a step, and predictions after every loop, of both engines.
fn agree(case: &Case, precision: Precision, tolerance: f32) {
    let engines = Engines::new(case);
    let (loss, gradients) = engines.candle_step(case);
    let (fused_loss, fused_gradients) = engines.fused_step(case, precision);
    assert_close("the loss", &[fused_loss as f32], &[loss as f32], 0.1 * tolerance);
    assert_gradients_close(&fused_gradients, &gradients, tolerance);
    let loops = case.plan.loops;
    let predictions = engines.candle_predictions(case, loops);
    assert_close(
        "predictions",
        &engines.fused_predictions(case, loops, precision),
        &predictions,
        0.1 * tolerance,
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn on_random_models(case in cases()) {
        agree(&case, Precision::F32, 1e-4);
    }
}

#[test]
fn at_the_edges_of_last_n_and_first_n() {
    let last = [-1, 0, 1, 2, 5, 9, 10, 11].map(|n| ("last_n", n));
    let first = [0, 1, 2, 9, 10, 11].map(|n| ("first_n", n));
    for (kind, n) in last.into_iter().chain(first) {
        for operation in ["add", "multiply"] {
            for block in BLOCKS {
                let injector = format!(r#"{{"type":"{kind}","n":{n},"operation":"{operation}"}}"#);
                agree(&Case { points: 5, ..Case::small(block, &injector) }, Precision::F32, 1e-4);
            }
        }
    }
}

#[test]
fn at_the_edges_of_the_window() {
    let block = r#"{"type":"transformer","n_head":2}"#;
    for injector in [r#"{"type":"full"}"#, r#"{"type":"full","operation":"multiply"}"#, r#"{"type":"none"}"#]
    {
        for (loops, window, loss_loops) in [(1, 1, 1), (4, 1, 1), (4, 4, 4), (4, 9, 9), (4, 3, 1), (4, 4, 2)]
        {
            let plan = LoopPlan { loops, window };
            agree(&Case { plan, loss_loops, ..Case::small(block, injector) }, Precision::F32, 1e-4);
        }
    }
}

/// bf16 keeps 8 bits: products lose some, everything else stays as it is.
#[test]
fn in_bf16_roughly() {
    for block in BLOCKS {
        agree(&Case::small(block, r#"{"type":"full"}"#), Precision::Bf16, 0.1);
    }
}
