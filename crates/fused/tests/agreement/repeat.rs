//! Equal calls give equal bits; other thread counts, instruction sets and chunks give nearly equal values.

use looped_core::fused::Kernels;
use looped_core::{Predictor, Prompts};
use looped_fused::{FusedModel, Precision, Step};
use looped_ops::Isa;

use crate::cases::Case;
use crate::engines::{Engines, assert_close, assert_gradients_close, without_key_biases};

const TRANSFORMER: &str = r#"{"type":"transformer","n_head":2}"#;
const LSTM: &str = r#"{"type":"lstm"}"#;
const SSM: &str = r#"{"type":"ssm"}"#;

/// Enough prompts for several chunks a thread, the tokens after a prefix.
fn large(block: &str) -> Case {
    Case { prompts: 67, points: 30, n_embd: 20, ..Case::small(block, r#"{"type":"last_n","n":31}"#) }
}

#[test]
fn the_same_call_gives_the_same_bits() {
    for block in [TRANSFORMER, LSTM, SSM] {
        for threads in [1, 2, 3] {
            let case = Case { threads, ..large(block) };
            let (one, other) = (Engines::new(&case), Engines::new(&case));
            let first = one.fused_step(&case, Precision::F32);
            // What earlier calls left in the engine's memory must not matter.
            one.fused_predictions(&case, 3, Precision::F32);
            one.fused_step(&Case { prompts: 2, points: 7, ..case.clone() }, Precision::F32);
            assert!(first == one.fused_step(&case, Precision::F32), "{block}: a second call differs");
            assert!(first == other.fused_step(&case, Precision::F32), "{block}: another engine differs");
        }
    }
}

#[test]
fn threads_and_instruction_sets_change_rounding_only() {
    for block in [TRANSFORMER, LSTM, SSM] {
        let case = Case { threads: 1, ..large(block) };
        let engines = Engines::new(&case);
        let (loss, gradients) = engines.candle_step(&case);
        let step = Step {
            plan: case.plan,
            loss_loops: case.loss_loops,
            objective: case.objective,
            precision: Precision::F32,
        };
        for threads in [1, 2, 5, 100] {
            for isa in Isa::available() {
                let model = FusedModel::new(&case.model(), threads).unwrap().unwrap();
                let model = model.with_kernels(Kernels::for_isa(isa).unwrap());
                let (fused_loss, fused) = model.step(&engines.store, &case.data(), step).unwrap();
                assert_close("the loss", &[fused_loss as f32], &[loss as f32], 1e-5);
                assert_gradients_close(&without_key_biases(fused), &gradients, 1e-4);
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let case = Case::small(TRANSFORMER, r#"{"type":"full"}"#);
    let engines = Engines::new(&case);
    let refused = |prompts: Prompts, part: &str| {
        let message = engines
            .fused
            .predictor(&engines.store, Precision::F32)
            .predict(&prompts, 1)
            .unwrap_err()
            .to_string();
        assert!(message.contains(part), "{message}");
    };
    refused(
        Case { points: 6, ..case.clone() }.data(),
        "a prompt has 6 points, the model has positions for 5",
    );
    refused(Case { n_dims: 2, ..case.clone() }.data(), "x has 2 coordinates, the model takes 3");
    refused(Case { prompts: 0, ..case.clone() }.data(), "0 prompts");
    let other = Engines::new(&Case { n_layer: 1, ..case.clone() });
    let error = engines.fused.predictor(&other.store, Precision::F32).predict(&case.data(), 1).unwrap_err();
    assert!(error.to_string().contains("the store holds"), "{error}");
    let step = Step { plan: case.plan, loss_loops: 0, objective: case.objective, precision: Precision::F32 };
    let error = engines.fused.step(&engines.store, &case.data(), step).unwrap_err().to_string();
    assert!(error.contains("there is no loss"), "{error}");
}
