//! What can't be computed is named, with its part and its place in the author's code.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::sync::Arc;

use candle_core::Device;
use looped_core::{LoopPlan, ModelDims, Objective, ParamStore, Predictor, Prompts, Rng};
use looped_cpu::{CpuModel, Precision, Step};
use looped_graph::{Graph, Init, Linear, Trace, Value};

const DIMS: ModelDims = ModelDims { n_dims: 2, n_positions: 9, n_embd: 5, n_layer: 1 };

/// A looped model with a part of the test's own.
fn model(part: impl for<'t> Fn(&'t Trace, Value<'t>) -> Value<'t>) -> Graph {
    let trace = Trace::new();
    {
        let params = trace.params();
        let (into, out) =
            (Linear::uniform(2, 5, &mut params.scope("in")), Linear::uniform(5, 1, &mut params.scope("out")));
        let input = trace.input(2).linear(&into);
        let state = trace.carry(input.like(0.0));
        let next = trace.scope("h.0", || part(&trace, state.value() + input));
        trace.next(state, next);
        trace.read(next.linear(&out));
    }
    trace.finish().unwrap()
}

fn prompts() -> Prompts {
    let mut rng = Rng::stream(1, "prompts", 0);
    Prompts::pairs(rng.normals(3 * 4 * 2), rng.normals(3 * 4), [3, 4, 2])
}

/// What a step and a prediction say.
fn messages(graph: Graph, finding: bool) -> [Option<String>; 2] {
    let store = ParamStore::new(&graph, 1, &Device::Cpu).unwrap();
    let model = CpuModel::new(Arc::new(graph), DIMS, 2).unwrap();
    let model = if finding { model.finding_the_first_nan() } else { model };
    let plan = LoopPlan { loops: 3, window: 2 };
    let step = Step { plan, loss_loops: 2, objective: Objective::SquaredError, precision: Precision::F32 };
    let trained = model.step(&store, &prompts(), step).err().map(|error| error.to_string());
    let predicted = model.predictor(&store, Precision::F32).predict(&prompts(), 3);
    [trained, predicted.err().map(|error| error.to_string())]
}

#[test]
fn the_first_number_that_is_not_finite() {
    let graph = || model(|_, x| (x.tanh() - 2.0).log());
    for message in messages(graph(), true) {
        let message = message.expect("it isn't found");
        assert!(message.starts_with("h.0: log: in loop 1, "), "{message}");
        assert!(message.contains("numbers aren't finite, the first is NaN"), "{message}");
        assert!(message.contains("crates/cpu/tests/named.rs:"), "{message}");
    }
    assert_eq!(messages(graph(), false), [None, None]);
    assert_eq!(messages(model(|_, x| x.tanh()), true), [None, None]);
}

#[test]
fn the_first_gradient_that_is_not_finite() {
    // The square root of 0 is finite, and its slope isn't.
    let [trained, predicted] = messages(model(|_, x| x.keep_last(2, 0.0).square().sqrt() + x), true);
    let trained = trained.expect("it isn't found");
    assert!(trained.starts_with("h.0: add: backward, in loop 3, "), "{trained}");
    assert_eq!(predicted, None);
}

#[test]
fn an_operation_of_an_authors_own_that_fails() {
    let graph = model(|_, x| x.candle("narrow", &[], |all| all[0].narrow(2, 3, 9)));
    for message in messages(graph, false) {
        let message = message.expect("it fails");
        assert!(message.starts_with("h.0: candle `narrow`: "), "{message}");
        assert!(message.contains("crates/cpu/tests/named.rs:"), "{message}");
    }
}

#[test]
fn an_operation_of_an_authors_own_that_gives_another_shape() {
    let graph = model(|_, x| x.candle("half", &[], |all| all[0].narrow(2, 0, 3)));
    for message in messages(graph, false) {
        let message = message.expect("it fails");
        assert!(message.contains("candle `half`: its results have the shapes"), "{message}");
    }
}

#[test]
fn prompts_that_are_longer_than_a_table_of_positions() {
    let graph = model(|trace, x| x.positions(trace.params().get("table", [6, 5], Init::Zeros)));
    for message in messages(graph, false) {
        let message = message.expect("it is refused");
        assert!(
            message.starts_with("h.0: positions `table`: there are 8 tokens, and positions for 6"),
            "{message}"
        );
    }
}

#[test]
fn graphs_with_ends_that_the_engine_does_not_take() {
    let two = Trace::new();
    let input = two.input(3);
    let state = two.carry(input);
    let x = state.value() + input;
    two.next(state, x);
    two.read(x.columns(0..1) + state.value().columns(0..1));
    let refusals = CpuModel::refusals(&two.finish().unwrap());
    let [refusal] = &refusals[..] else { panic!("{refusals:?}") };
    assert!(refusal.starts_with("the prediction, add at crates/cpu/tests/named.rs:"), "{refusal}");
    assert!(refusal.ends_with("is made of more than the state after the loop"), "{refusal}");
}
