//! The CPU engine computes what the reference engine does: loss, every gradient, predictions.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod cases;
mod columns;
mod golden;
mod repeat;

use cases::{Case, cases};
use looped_core::LoopPlan;
use looped_cpu::Precision;
use looped_testing::{Asked, engines_agree, noisy_parameters};
use proptest::prelude::*;
use repeat::{assert_close, assert_gradients_close, cpu, step};

const BLOCKS: [&str; 3] =
    [r#"{"type":"transformer","n_head":2}"#, r#"{"type":"lstm"}"#, r#"{"type":"ssm","n_state":3}"#];

/// Loss and gradients of a step, and predictions after every loop, of both engines; with buffers apart and memory full of NaN too.
fn agree(case: &Case) {
    let config = case.model();
    let graph = config.graph().unwrap();
    let store = noisy_parameters(&graph, case.seed);
    let Case { plan, loss_loops, objective, threads, .. } = *case;
    let asked = Asked { plan, loss_loops, objective, threads };
    engines_agree(&graph, config.dims(), &store, &case.data(), asked)
        .unwrap_or_else(|what| panic!("{what} in {case:?}"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn on_random_models(case in cases()) {
        agree(&case);
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
                agree(&Case { points: 5, ..Case::small(block, &injector) });
            }
        }
    }
}

#[test]
fn at_the_edges_of_the_window() {
    for injector in [r#"{"type":"full"}"#, r#"{"type":"full","operation":"multiply"}"#, r#"{"type":"none"}"#]
    {
        for (loops, window, loss_loops) in [(1, 1, 1), (4, 1, 1), (4, 4, 4), (4, 9, 9), (4, 3, 1), (4, 4, 2)]
        {
            let plan = LoopPlan { loops, window };
            agree(&Case { plan, loss_loops, ..Case::small(BLOCKS[0], injector) });
        }
    }
}

/// bf16 keeps 8 bits: products lose some, everything else stays as it is.
#[test]
fn bf16_is_f32_roughly() {
    for block in BLOCKS {
        let case = Case::small(block, r#"{"type":"full"}"#);
        let (model, data) = (cpu(&case), case.data());
        let store = noisy_parameters(&case.model().graph().unwrap(), case.seed);
        let (loss, gradients) = model.step(&store, &data, step(&case, Precision::F32)).unwrap();
        let (coarse_loss, coarse) = model.step(&store, &data, step(&case, Precision::Bf16)).unwrap();
        assert_ne!(coarse_loss, loss);
        assert_close("the loss", &[coarse_loss as f32], &[loss as f32], 0.01);
        assert_gradients_close(&coarse, &gradients, 0.1);
    }
}
