//! Equal calls give equal bits; other thread counts, instruction sets and chunks give nearly equal values.

use std::sync::Arc;

use looped_core::{Flat, Predictor, Prompts};
use looped_cpu::{CpuModel, Precision, Step};
use looped_ops::{Isa, Kernels};
use looped_testing::noisy_parameters;

use crate::BLOCKS;
use crate::cases::Case;

pub(crate) fn cpu(case: &Case) -> CpuModel {
    let config = case.model();
    CpuModel::new(Arc::new(config.graph().unwrap()), config.dims(), case.threads).unwrap()
}

pub(crate) fn step(case: &Case, precision: Precision) -> Step {
    let Case { plan, loss_loops, objective, .. } = *case;
    Step { plan, loss_loops, objective, precision }
}

/// Enough prompts for several chunks a thread, and tokens that never change.
fn large(block: &str) -> Case {
    Case { prompts: 67, points: 30, n_embd: 20, ..Case::small(block, r#"{"type":"last_n","n":31}"#) }
}

#[test]
fn the_same_call_gives_the_same_bits() {
    for block in BLOCKS {
        for threads in [1, 2, 3] {
            let case = Case { threads, ..large(block) };
            let store = noisy_parameters(&case.model().graph().unwrap(), case.seed);
            let (one, other) = (cpu(&case), cpu(&case));
            let of = |model: &CpuModel, case: &Case| {
                model.step(&store, &case.data(), step(case, Precision::F32)).unwrap()
            };
            let first = of(&one, &case);
            // What earlier calls left in the engine's memory must not matter.
            one.predictor(&store, Precision::F32).predict(&case.data(), 3).unwrap();
            of(&one, &Case { prompts: 2, points: 7, ..case.clone() });
            assert!(first == of(&one, &case), "{block}: a second call differs");
            assert!(first == of(&other, &case), "{block}: another engine differs");
        }
    }
}

#[test]
fn threads_and_instruction_sets_change_rounding_only() {
    for block in BLOCKS {
        let case = Case { threads: 1, ..large(block) };
        let (store, data) = (noisy_parameters(&case.model().graph().unwrap(), case.seed), case.data());
        let (loss, gradients) = cpu(&case).step(&store, &data, step(&case, Precision::F32)).unwrap();
        for threads in [1, 2, 5, 100] {
            for isa in Isa::available() {
                let model =
                    cpu(&Case { threads, ..case.clone() }).with_kernels(Kernels::for_isa(isa).unwrap());
                let (other_loss, others) = model.step(&store, &data, step(&case, Precision::F32)).unwrap();
                assert_close("the loss", &[other_loss as f32], &[loss as f32], 1e-5);
                assert_gradients_close(&others, &gradients, 1e-4);
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let case = Case::small(BLOCKS[0], r#"{"type":"full"}"#);
    let (model, store) = (cpu(&case), noisy_parameters(&case.model().graph().unwrap(), case.seed));
    let refused = |prompts: Prompts, part: &str| {
        let message = model.predictor(&store, Precision::F32).predict(&prompts, 1).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    refused(
        Case { points: 6, ..case.clone() }.data(),
        "a prompt has 6 points, the model has positions for 5",
    );
    refused(Case { n_dims: 2, ..case.clone() }.data(), "x has 2 coordinates, the model takes 3");
    refused(Case { prompts: 0, ..case.clone() }.data(), "0 prompts");
    let other = Case { n_layer: 1, ..case.clone() };
    let other = noisy_parameters(&other.model().graph().unwrap(), 0);
    let error = model.predictor(&other, Precision::F32).predict(&case.data(), 1).unwrap_err();
    assert!(error.to_string().contains("the store holds"), "{error}");
    let step = Step { loss_loops: 0, ..step(&case, Precision::F32) };
    let error = model.step(&store, &case.data(), step).unwrap_err().to_string();
    assert!(error.contains("there is no loss"), "{error}");
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, v| largest.max(v.abs()))
}

/// Two vectors differ by at most `tolerance` times the largest magnitude expected.
pub(crate) fn assert_close(what: &str, actual: &[f32], expected: &[f32], tolerance: f32) {
    assert_within(what, actual, expected, tolerance * largest(expected));
}

/// Every gradient differs by at most `tolerance` times its largest magnitude. A gradient far below the others is what is
/// left of larger ones that cancel, and so is its error: it's held against a hundredth of the largest.
pub(crate) fn assert_gradients_close(actual: &Flat, expected: &Flat, tolerance: f32) {
    assert_eq!(actual.layout(), expected.layout(), "the engines have other parameters");
    let floor = 1e-2 * largest(expected);
    for ((place, actual), (_, expected)) in actual.named().zip(expected.named()) {
        assert_within(&place.name, actual, expected, tolerance * largest(expected).max(floor));
    }
}

fn assert_within(what: &str, actual: &[f32], expected: &[f32], bound: f32) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((a - e).abs() <= bound, "{what}: {a} for {e} at {i}, allowed is a difference of {bound}");
    }
}
