//! Columns of one value, taken more than once, that meet again in one elementwise program.

use looped_core::{LoopPlan, ModelDims, Objective, Prompts, Rng};
use looped_graph::{Graph, Linear, Trace, Value};
use looped_testing::{Asked, engines_agree, noisy_parameters};

/// A looped model with a state of six columns, and what a part makes of them.
fn model(part: impl for<'t> Fn(Value<'t>) -> Value<'t>) -> Graph {
    let trace = Trace::new();
    {
        let params = trace.params();
        let into = Linear::uniform(2, 6, &mut params.scope("in"));
        let input = trace.input(2).linear(&into);
        let state = trace.carry(input.like(0.0));
        let made = part((state.value() + input).tanh());
        let next = made.linear(&Linear::uniform(made.width(), 6, &mut params.scope("next")));
        trace.next(state, next);
        trace.read(next.linear(&Linear::uniform(6, 1, &mut params.scope("out"))));
    }
    trace.finish().unwrap()
}

fn agree(part: impl for<'t> Fn(Value<'t>) -> Value<'t>) {
    let graph = model(part);
    let dims = ModelDims { n_dims: 2, n_positions: 4, n_embd: 6, n_layer: 1 };
    let mut rng = Rng::stream(1, "prompts", 0);
    let prompts = Prompts::pairs(rng.normals(3 * 4 * 2), rng.normals(3 * 4), [3, 4, 2]);
    let plan = LoopPlan { loops: 3, window: 2 };
    let asked = Asked { plan, loss_loops: 2, objective: Objective::SquaredError, threads: 1 };
    engines_agree(&graph, dims, &noisy_parameters(&graph, 1), &prompts, asked).unwrap();
}

#[test]
fn all_columns_beside_the_value_itself() {
    agree(|x| x * x.columns(0..6));
    agree(|x| x.columns(0..6) * x.columns(0..6).tanh());
}

#[test]
fn the_same_columns_twice() {
    agree(|x| x.columns(1..4) * x.columns(1..4).tanh() + x.columns(3..6));
    agree(|x| x.columns(0..4).columns(1..3) * x.columns(1..3));
}

#[test]
fn columns_that_overlap() {
    agree(|x| x.columns(0..4) * x.columns(2..6));
    agree(|x| x.columns(0..2) * x.columns(1..3).tanh() + x.columns(2..4) * x.columns(3..5));
    agree(|x| x.columns(0..4).columns(2..4) * x.columns(1..6).columns(0..2));
}

#[test]
fn within_a_cell() {
    agree(|x| {
        let [h] = x.recur([4], |x, [h]| {
            let overlapping = x.columns(0..4) * x.columns(2..6).tanh() + x.columns(1..5) * x.columns(1..5);
            [(overlapping + h * h.columns(0..4)).tanh()]
        });
        h
    });
}
