//! The CPU engine computes, from a recorded graph, what the hand-written fused engine computes: loss, every gradient, predictions.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

#[path = "../../../fused/tests/agreement/cases.rs"]
mod cases;

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use cases::{Case, cases};
use looped_core::{LoopPlan, LoopedModel, ParamStore, Predictor, Rng};
use looped_cpu::{CpuModel, Gradients, Precision, Step};
use looped_fused::FusedModel;
use proptest::prelude::*;

const TRANSFORMER: &str = r#"{"type":"transformer","n_head":2}"#;
const SSM: &str = r#"{"type":"ssm","n_state":3}"#;

/// Parameters far from their start, where biases are 0 and weights small, which would hide mistakes.
fn parameters(case: &Case) -> ParamStore {
    let mut store = ParamStore::new(case.seed, &Device::Cpu);
    LoopedModel::build(case.model(), &mut store).unwrap();
    for (name, var) in store.iter() {
        let noise = Rng::stream(case.seed, &format!("noise {name}"), 0).normals(var.elem_count());
        let noise = Tensor::from_vec(noise, var.shape(), &Device::Cpu).unwrap();
        var.set(&(var.as_tensor() + (noise * 0.1).unwrap()).unwrap()).unwrap();
    }
    store
}

/// What an engine computes in a step and in predicting.
struct Results {
    loss: f64,
    gradients: Gradients,
    predictions: Vec<f32>,
}

fn by_fused(case: &Case, store: &ParamStore, precision: Precision) -> Results {
    let model = FusedModel::new(&case.model(), case.threads).unwrap().unwrap();
    let step = looped_fused::Step {
        plan: case.plan,
        loss_loops: case.loss_loops,
        objective: case.objective,
        precision,
    };
    let (loss, gradients) = model.step(store, &case.data(), step).unwrap();
    let predictions =
        model.predictor(store, precision).predict(&case.data(), case.plan.loops).unwrap().values;
    Results { loss, gradients, predictions }
}

fn cpu(case: &Case) -> CpuModel {
    let config = case.model();
    let graph = config.graph().unwrap().expect("a recorded form");
    CpuModel::new(Arc::new(graph), config.dims(), case.threads).unwrap()
}

fn by_cpu(case: &Case, model: &CpuModel, store: &ParamStore, precision: Precision) -> Results {
    let step = Step { plan: case.plan, loss_loops: case.loss_loops, objective: case.objective, precision };
    let (loss, gradients) = model.step(store, &case.data(), step).unwrap();
    let predictions =
        model.predictor(store, precision).predict(&case.data(), case.plan.loops).unwrap().values;
    Results { loss, gradients, predictions }
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, v| largest.max(v.abs()))
}

/// How far two vectors are apart, beside the largest magnitude of the second.
fn distance(a: &[f32], b: &[f32], floor: f32) -> f32 {
    assert_eq!(a.len(), b.len());
    let far = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    far / largest(b).max(floor).max(1e-30)
}

/// Every result within `tolerance` of the other engine's; the distance of each.
fn agree(case: &Case, precision: Precision, tolerance: f32) -> BTreeMap<String, f32> {
    let store = parameters(case);
    let (expected, model) = (by_fused(case, &store, precision), cpu(case));
    let actual = by_cpu(case, &model, &store, precision);
    let mut distances = BTreeMap::new();
    distances.insert("the loss".to_owned(), ((actual.loss - expected.loss) / expected.loss).abs() as f32);
    distances.insert("predictions".to_owned(), distance(&actual.predictions, &expected.predictions, 0.0));
    assert!(actual.gradients.keys().eq(expected.gradients.keys()), "the engines have other parameters");
    let floor = 1e-2 * expected.gradients.values().map(|values| largest(values)).fold(0.0, f32::max);
    for (name, expected) in &expected.gradients {
        let mut actual = actual.gradients[name].clone();
        let mut expected = expected.clone();
        if name.ends_with("c_attn.bias") {
            // A softmax ignores a shift, so the gradient of the keys' bias is noise.
            let width = expected.len() / 3;
            actual[width..2 * width].fill(0.0);
            expected[width..2 * width].fill(0.0);
        }
        distances.insert(name.clone(), distance(&actual, &expected, floor));
    }
    for (name, distance) in &distances {
        assert!(*distance <= tolerance, "{name} is {distance} apart in {case:?}");
    }
    // Room of its own for every buffer changes nothing.
    let apart = by_cpu(case, &cpu(case).with_buffers_apart(), &store, precision);
    assert!(
        actual.loss == apart.loss && actual.predictions == apart.predictions,
        "buffers share room that they need"
    );
    assert!(actual.gradients == apart.gradients, "buffers share room that they need");
    distances
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn on_random_models(case in cases()) {
        agree(&case, Precision::F32, 1e-4);
    }
}

#[test]
fn a_transformer_to_the_last_bit() {
    for injector in [r#"{"type":"full"}"#, r#"{"type":"last_n","n":5}"#, r#"{"type":"first_n","n":5}"#] {
        for precision in [Precision::F32, Precision::Bf16] {
            let case = Case { prompts: 9, points: 8, n_embd: 32, ..Case::small(TRANSFORMER, injector) };
            let distances = agree(&case, precision, 1e-5);
            let apart: Vec<_> = distances.iter().filter(|(_, distance)| **distance > 0.0).collect();
            assert!(apart.is_empty(), "{injector} {precision:?}: {apart:?}");
        }
    }
}

#[test]
fn at_the_edges_of_last_n_and_first_n() {
    let last = [-1, 0, 1, 2, 5, 9, 10, 11].map(|n| ("last_n", n));
    let first = [0, 1, 2, 9, 10, 11].map(|n| ("first_n", n));
    for (kind, n) in last.into_iter().chain(first) {
        for operation in ["add", "multiply"] {
            for block in [TRANSFORMER, SSM] {
                let injector = format!(r#"{{"type":"{kind}","n":{n},"operation":"{operation}"}}"#);
                agree(&Case { points: 5, ..Case::small(block, &injector) }, Precision::F32, 2e-5);
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
            agree(&Case { plan, loss_loops, ..Case::small(TRANSFORMER, injector) }, Precision::F32, 2e-5);
        }
    }
}
