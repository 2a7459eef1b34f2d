//! The CPU engine gives the state and every probed value after each loop, as the reference engine does.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::sync::Arc;

use looped_blocks as _;
use looped_core::{Device, ModelConfig, ModelDims, ParamStore, Place, Prompts, Rng, Tensor};
use looped_cpu::CpuModel;
use looped_graph::{Graph, Heads, Init, Linear, Norm, Trace, Wire};
use looped_reference::ReferenceModel;

const LOOPS: usize = 3;
const DIMS: ModelDims = ModelDims { n_dims: 3, n_positions: 6, n_embd: 10, n_layer: 1 };

fn prompts() -> Prompts {
    let mut rng = Rng::stream(7, "prompts", 0);
    Prompts::pairs(rng.normals(5 * 4 * 3), rng.normals(5 * 4), [5, 4, 3])
}

fn store(graph: &Graph) -> ParamStore {
    let store = ParamStore::new(graph, 7, &Device::Cpu).unwrap();
    for (Place { name, .. }, values) in store.values_mut().named_mut() {
        let noise = Rng::stream(7, name, 1).normals(values.len());
        values.iter_mut().zip(noise).for_each(|(value, noise)| *value += noise * 0.2);
    }
    store
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Holds the state and each named value of a graph, after each loop, to the reference engine's.
fn agree(graph: Graph, names: &[&str]) {
    let (prompts, store) = (prompts(), store(&graph));
    let reference = ReferenceModel::new(graph.clone()).unwrap();
    let named = |name: &&str| graph.probed(name).unwrap_or_else(|| panic!("there is no `{name}`"));
    let wires: Vec<Wire> = names.iter().map(named).chain([graph.carried()[0].next]).collect();
    let cpu = CpuModel::new(Arc::new(graph.clone()), DIMS, 2).unwrap();
    let found = cpu.watch(&store, &prompts, LOOPS, &wires).unwrap();
    let spoilt = CpuModel::new(Arc::new(graph.clone()), DIMS, 1).unwrap().with_dead_memory_nan();
    assert_eq!(spoilt.watch(&store, &prompts, LOOPS, &wires).unwrap(), found);

    let mut looping = reference.looping(&store, &prompts, LOOPS).unwrap();
    for index in 0..LOOPS {
        looping.advance().unwrap();
        for (which, what) in names.iter().copied().chain(["the state"]).enumerate() {
            let expected = looping.probed(what).unwrap_or_else(|| looping.state());
            let len = 5 * 8 * graph.shape(wires[which]).width;
            let expected = numbers(&expected.expand((5, 8, len / 40)).unwrap());
            assert_eq!(found[which].len(), LOOPS * len, "{what}");
            let found = &found[which][index * len..(index + 1) * len];
            let largest = expected.iter().fold(1e-3f32, |largest, value| largest.max(value.abs()));
            for (found, expected) in found.iter().zip(&expected) {
                let far = (found - expected).abs() / largest;
                assert!(far < 1e-5, "{what} in loop {}: {found}, not {expected}", index + 1);
            }
        }
    }
}

/// A value of each kind: what is folded into a product, lies within an elementwise program, is a view, has no kernel, is never read, or
/// never changes.
#[test]
fn values_are_the_same_wherever_they_stand() {
    let trace = Trace::new();
    let mut params = trace.params();
    let read_in = Linear::uniform(3, 10, &mut params.scope("in"));
    let up = Linear::uniform(10, 20, &mut params.scope("up"));
    let down = Linear::uniform(20, 10, &mut params.scope("down"));
    let qkv = Linear::uniform(10, 30, &mut params.scope("qkv"));
    let norm = Norm::layer(10, &mut params.scope("norm"));
    let table = params.get("table", [2, 10], Init::Normal { std: 0.5 });
    let out = Linear::uniform(10, 1, &mut params.scope("out"));

    let input = trace.input(3).linear(&read_in).probe("input");
    let steady = (input * 2.0).tanh().probe("steady");
    let state = trace.carry(input.like(0.0));
    let x = (state.value().probe("before").keep_last(5, 0.0) + steady).probe("met");
    let x = x + looped_graph::At::new(input).by_loop(table);
    let wide = x.linear(&up).probe("product").gelu().probe("gelu");
    let y = (x + wide.linear(&down).probe("folded")).probe("sum");
    let [half, other] = (y.sigmoid() * 3.0).split();
    let gated = (half.probe("view") * other.exp().probe("within")).probe("gated");
    let _ = gated.sqrt().square().probe("never read");
    let moved = y.shift(1).probe("shifted") + y.linear(&qkv).attention(Heads::causal(2)).probe("attention");
    let [_, count] = moved.recur([10, 10], |x, [sum, mean]| [sum + x, mean * 0.5 + x]);
    let next = (count.probe("second state") + y).norm(&norm).probe("normed");
    trace.next(state, next);
    trace.read(next.linear(&out));
    let names = [
        "input",
        "steady",
        "before",
        "met",
        "product",
        "gelu",
        "folded",
        "sum",
        "view",
        "within",
        "gated",
        "never read",
        "shifted",
        "attention",
        "second state",
        "normed",
    ];
    agree(trace.finish().unwrap(), &names);
}

#[test]
fn the_learned_gate_is_seen_in_a_model_of_each_kind_of_block() {
    for block in [
        r#"{"type":"transformer","n_head":2}"#,
        r#"{"type":"transformer","n_head":2,"causal":false}"#,
        r#"{"type":"llama","n_head":1}"#,
        r#"{"type":"lstm"}"#,
        r#"{"type":"ssm","n_state":3}"#,
    ] {
        let table = format!(
            r#"{{"n_dims":3,"n_positions":6,"n_embd":10,"n_layer":1,"block":{block},"injector":{{"type":"learned_gate"}}}}"#
        );
        let config: ModelConfig = serde_json::from_str(&table).unwrap();
        agree(config.graph().unwrap(), &["gate"]);
    }
}

#[test]
fn what_cannot_be_looked_at_is_refused_with_its_place() {
    let trace = Trace::new();
    let table = trace.params().get("table", [2, 3], Init::Ones);
    let input = trace.input(3);
    let row = looped_graph::At::new(input).by_loop(table).probe("row");
    let state = trace.carry(input);
    let plain = state.value() + row;
    let next = plain.tanh();
    trace.next(state, next);
    trace.read(next.columns(0..1));
    let (row, plain) = (row.wire(), plain.wire());
    let graph = trace.finish().unwrap();
    let (store, dims) = (store(&graph), ModelDims { n_embd: 3, ..DIMS });
    let cpu = CpuModel::new(Arc::new(graph), dims, 1).unwrap();
    let refused = |wire: Wire| cpu.watch(&store, &prompts(), 1, &[wire]).unwrap_err().to_string();
    let message = refused(row);
    assert!(
        message.contains("it is (1, 3), and not a row for each token, at crates/cpu/tests/watch.rs"),
        "{message}"
    );
    let message = refused(plain);
    assert!(message.contains("add: it has no name to be looked at by"), "{message}");
}
