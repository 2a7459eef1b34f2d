//! Tokens of a vocabulary, looked up in a table: both engines of the CPU against the formulas, and what they refuse.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::sync::Arc;

use looped_core::{LoopPlan, ModelDims, Noise, Objective, ParamStore, Predictor, Prompts, Rng, TokenLayout};
use looped_cpu::{CpuModel, Precision, Step};
use looped_graph::{Graph, Init, Linear, Trace};
use looped_reference::ReferenceModel;
use looped_testing::noisy_parameters;

const WIDTH: usize = 3;
const ENTRIES: usize = 5;
const PLAN: LoopPlan = LoopPlan { loops: 1, window: 1 };
const DIMS: ModelDims = ModelDims { n_dims: 1, n_positions: 4, n_embd: WIDTH, n_layer: 1 };

/// After one loop the prediction at a token is w · table[:, token].
fn graph() -> Graph {
    let trace = Trace::new();
    {
        let mut params = trace.params();
        let table = params.get("table", [WIDTH, ENTRIES], Init::Zeros);
        let out = Linear::without_bias(WIDTH, 1, 1.0, &mut params.scope("out"));
        let embedded = trace.input(1).lookup(table);
        let state = trace.carry(embedded.like(0.0));
        let next = state.value() * 0.5 + embedded;
        trace.next(state, next);
        trace.read(next.linear(&out));
    }
    trace.finish().unwrap()
}

/// Entry 2 is in no prompt.
fn prompts() -> Prompts {
    let xs = vec![0.0, 4.0, 4.0, 1.0, 3.0, 4.0, 0.0, 4.0];
    let ys = Rng::stream(1, "targets", 0).normals(8);
    Prompts {
        xs,
        ys,
        shown: None,
        prompts: 2,
        points: 4,
        n_dims: 1,
        layout: TokenLayout::Ids,
        noise: Noise::default(),
    }
}

fn values(store: &ParamStore, name: &str) -> Vec<f32> {
    store.values().get(name).unwrap().to_vec()
}

#[test]
fn a_token_is_a_column_of_the_table_and_its_gradient_goes_there() {
    let (graph, prompts) = (graph(), prompts());
    let store = noisy_parameters(&graph, 3);
    let (table, out) = (values(&store, "table"), values(&store, "out.weight"));
    let dot = |entry: usize| (0..WIDTH).map(|i| out[i] * table[i * ENTRIES + entry]).sum::<f32>();
    let expected: Vec<f32> = prompts.xs.iter().map(|x| dot(*x as usize)).collect();
    let mut dtable = vec![0.0; WIDTH * ENTRIES];
    for (x, (p, y)) in prompts.xs.iter().zip(expected.iter().zip(&prompts.ys)) {
        for i in 0..WIDTH {
            dtable[i * ENTRIES + *x as usize] += 2.0 * (p - y) / 8.0 * out[i];
        }
    }

    let cpu = CpuModel::new(Arc::new(graph.clone()), DIMS, 2).unwrap();
    let objective = Objective::SquaredError;
    let step = Step { plan: PLAN, loss_loops: 1, objective, precision: Precision::Bf16 };
    let (_, gradients) = cpu.step(&store, &prompts, step).unwrap();
    let predictions = cpu.predictor(&store, Precision::Bf16).predict(&prompts, 1).unwrap();
    close(&predictions.values, &expected);
    close(gradients.get("table").unwrap(), &dtable);

    let reference = ReferenceModel::new(graph).unwrap();
    let step = looped_reference::Step { plan: PLAN, loss_loops: 1, objective };
    let (_, gradients) = reference.step(&store, &prompts, step).unwrap();
    close(&reference.predictor(&store).predict(&prompts, 1).unwrap().values, &expected);
    close(gradients.get("table").unwrap(), &dtable);
}

fn close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let far = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(far <= 1e-6, "{found:?} for {expected:?}");
}

#[test]
fn what_is_no_entry_is_refused_with_its_place() {
    let graph = graph();
    let store = noisy_parameters(&graph, 3);
    let cpu = CpuModel::new(Arc::new(graph.clone()), DIMS, 1).unwrap();
    let reference = ReferenceModel::new(graph).unwrap();
    let refused = |prompts: &Prompts| {
        let by_cpu = cpu.predictor(&store, Precision::F32).predict(prompts, 1).unwrap_err().to_string();
        let by_reference = reference.predictor(&store).predict(prompts, 1).unwrap_err().to_string();
        assert_eq!(by_cpu, by_reference);
        by_cpu
    };
    for wrong in [5.0, -1.0, 0.5, f32::NAN] {
        let mut prompts = prompts();
        prompts.xs[6] = wrong;
        assert_eq!(
            refused(&prompts),
            format!("data: token 2 of prompt 1 is {wrong}, and the vocabulary has the entries 0 to 4")
        );
    }
    assert_eq!(
        refused(&Prompts { layout: TokenLayout::Pairs, ..prompts() }),
        "data: the model takes tokens of a vocabulary, and prompts are points"
    );
}
