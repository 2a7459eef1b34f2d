//! Recurrences of all kinds: what a cell may be made of, states from earlier tokens, and products that round.

use std::sync::Arc;

use looped_core::{LoopPlan, ModelDims, Objective, Prompts, Rng};
use looped_cuda::{CudaModel, Math};
use looped_graph::{Graph, Linear, Norm, Params, Trace, Value};
use looped_testing::{Asked, agrees_with_reference, noisy_parameters};

use super::{fake, results};

type Layer = for<'t> fn(&mut Params<'_>, Value<'t>) -> Value<'t>;

fn lstm<'t>(params: &mut Params<'_>, x: Value<'t>) -> Value<'t> {
    let width = x.width();
    let of_x = Linear::uniform(width, 4 * width, &mut params.scope("x"));
    let of_h = Linear::uniform(width, 4 * width, &mut params.scope("h"));
    let [h, c] = x.recur([width; 2], |x, [h, c]| {
        let [input, forget, new, output] = (x.linear(&of_x) + h.linear(&of_h)).split();
        let c = forget.sigmoid() * c + input.sigmoid() * new.tanh();
        [output.sigmoid() * c.tanh(), c]
    });
    // Both states are read.
    h + c * 0.1
}

fn gru<'t>(params: &mut Params<'_>, x: Value<'t>) -> Value<'t> {
    let width = x.width();
    let of_x = Linear::uniform(width, 3 * width, &mut params.scope("x"));
    let of_h = Linear::uniform(width, 3 * width, &mut params.scope("h"));
    let [h] = x.recur([width], |x, [h]| {
        let ([xr, xu, xn], [hr, hu, hn]) = (x.linear(&of_x).split(), h.linear(&of_h).split());
        let (reset, update) = ((xr + hr).sigmoid(), (xu + hu).sigmoid());
        let new = (xn + reset * hn).tanh();
        [new + update * (h - new)]
    });
    h
}

/// Norms, columns of what a program makes, rows side by side, chains of products, a state that is handed on, and elementwise code on the
/// input alone.
fn everything<'t>(params: &mut Params<'_>, x: Value<'t>) -> Value<'t> {
    let width = x.width();
    let linear = |name: &str, inputs, out| Linear::uniform(inputs, out, &mut params.scope(name));
    let (of_x, of_h) = (linear("x", width, 2 * width), linear("h", width, 2 * width));
    let (of_both, second) = (linear("b", 3 * width, width), linear("s", width, width));
    let narrow = linear("n", width - 1, width);
    let norm = |name: &str, width| Norm::layer(width, &mut params.scope(name));
    let (ln_h, ln_x, ln_z) = (norm("ln_h", width), norm("ln_x", width), norm("ln_z", 2 * width));
    let rms = Norm::rms(width, &mut params.scope("rms"));
    let halves = Norm::rms_of_groups(2 * width, 2, &mut params.scope("halves"));
    let [y, _, older] = x.recur([width; 3], |x, [h, old, older]| {
        let gate = x.norm(&ln_x).gelu().linear(&of_x);
        let z = (gate.tanh() + h.norm(&ln_h).linear(&of_h)).norm(&halves).norm(&ln_z).sigmoid();
        let [a, b] = z.split();
        let wide = Value::concat(&[a * older, x, old.tanh() / (b + 1.5)]);
        let y = wide.linear(&of_both).linear(&second).norm(&rms);
        let y = y + h.columns(1..width).linear(&narrow) * a + (b * b + 0.1).sqrt().log();
        [(y.relu() - h * 0.3).tanh(), h, (old - y * 0.1).tanh()]
    });
    y + older
}

/// A looped model of such a layer. Of all but the last tokens the layer's input never changes.
fn model(width: usize, last: usize, layer: Layer) -> Graph {
    let trace = Trace::new();
    {
        let params = trace.params();
        let norm = Norm::layer(width, &mut params.scope("norm"));
        let input = trace.input(3).linear(&Linear::uniform(3, width, &mut params.scope("in")));
        let state = trace.carry(input.like(0.0));
        let x = (state.value().keep_last(last, 0.0) + input).norm(&norm);
        let next = x + layer(&mut params.scope("layer"), x);
        trace.next(state, next);
        trace.read(next.linear(&Linear::uniform(width, 1, &mut params.scope("out"))));
    }
    trace.finish().unwrap()
}

fn dims(width: usize) -> ModelDims {
    ModelDims { n_dims: 3, n_positions: 6, n_embd: width, n_layer: 1 }
}

fn data() -> Prompts {
    let mut rng = Rng::stream(1, "prompts", 0);
    Prompts::pairs(rng.normals(3 * 5 * 3), rng.normals(3 * 5), [3, 5, 3])
}

const ASKED: Asked = Asked {
    plan: LoopPlan { loops: 4, window: 3 },
    loss_loops: 2,
    objective: Objective::SquaredError,
    threads: 1,
};

#[test]
fn cells_of_all_kinds() {
    fake::passes("cells::inner_cells", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_cells() {
    let layers: [(&str, Layer); 3] = [("lstm", lstm), ("gru", gru), ("everything", everything)];
    for (name, layer) in layers {
        for (width, last) in [(8, 10), (8, 4), (7, 1), (7, 0)] {
            let graph = model(width, last, layer);
            assert_eq!(CudaModel::refusals(&graph), [""; 0], "{name}");
            let store = noisy_parameters(&graph, 2);
            let cuda = CudaModel::new(Arc::new(graph.clone()), dims(width), 0).expect("a model");
            let found = results(&cuda, &store, &data(), ASKED, Math::F32);
            agrees_with_reference("CUDA", &graph, &store, &data(), ASKED, &found)
                .unwrap_or_else(|what| panic!("{what} in {name}, {width} wide, last {last}"));
        }
    }
}

#[test]
fn products_of_cells_round_as_they_are_asked_to() {
    fake::passes("cells::inner_rounding", &[("FAKE_CUBLAS_ROUNDS", "1")]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_rounding() {
    let layers: [(&str, Layer); 3] = [("lstm", lstm), ("gru", gru), ("everything", everything)];
    for (name, layer) in layers {
        for last in [10, 4] {
            let graph = model(8, last, layer);
            let store = noisy_parameters(&graph, 2);
            let cuda = CudaModel::new(Arc::new(graph.clone()), dims(8), 0).expect("a model");
            let of = |math| results(&cuda, &store, &data(), ASKED, math);
            let exact = of(Math::F32);
            // Square roots, logarithms and norms of little make much of rounding.
            let more = if name == "everything" { 5.0 } else { 1.0 };
            for (math, allowed) in [(Math::Tf32, 1e-2 * more), (Math::Bf16, 8e-2 * more)] {
                let rough = of(math);
                assert!(rough != exact, "{name}, {math:?}: nothing is rounded");
                let all = |of: &looped_testing::Results| -> Vec<f64> {
                    of.gradients.values().flatten().copied().collect()
                };
                let (a, b) = (all(&rough), all(&exact));
                let norm = |of: &[f64]| of.iter().map(|x| x * x).sum::<f64>().sqrt();
                let far: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
                let far = norm(&far) / norm(&b);
                assert!(far < allowed, "{name}, last {last}, {math:?}: gradients are {far} apart");
                assert!((rough.loss / exact.loss - 1.0).abs() < allowed, "{name}, {math:?}");
            }
        }
    }
}

#[test]
fn a_cell_without_a_kernel_is_refused_with_its_name_and_place() {
    let graph = model(8, 10, |params, x| {
        let layer = Linear::uniform(8, 1, &mut params.scope("narrow"));
        let [h] = x.recur([8], |x, [h]| [x + h * Value::concat(&[h.linear(&layer); 8])]);
        h
    });
    let refusals = CudaModel::refusals(&graph).join("\n");
    assert!(refusals.contains("within a recurrence: a product has two columns at least, at "), "{refusals}");
    assert!(refusals.contains("cells.rs:"), "{refusals}");
}
