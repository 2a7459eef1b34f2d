//! What a part computes, number by number: for tests that know the numbers.

use candle_core::{DType, Device, Tensor};
use looped_core::graph::{At, Graph, Inject, Meaning, ParamInfo, Params, Source, Trace, Value, Wire};
use looped_core::{BlockConfig, Injector, ModelDims};

/// What a block gives for one prompt's tokens, `N` numbers each, in 64 bits. `value` is asked for each number of each parameter: by the
/// parameter's name and the number's place, row-major.
///
/// Nothing stands around the block: no injection, no positions, no norm.
///
/// # Panics
/// If the block can't be built or computed; the message has its author's file and line.
pub fn block_gives<const N: usize>(
    block: &dyn BlockConfig,
    tokens: &[[f64; N]],
    value: impl Fn(&str, usize) -> f64,
) -> Vec<[f64; N]> {
    let trace = Trace::new();
    let built = block.build(&dims(N, tokens.len()), &mut trace.params());
    let x = trace.input(N);
    trace.read(built.forward(x, At::new(x)));
    computed(trace, [tokens, tokens], value)
}

/// What an injector makes of one prompt's `state` and its embedded prompt, `input`, in 64 bits: what the first block of a loop sees, without
/// positions. `value` is asked for each number of each parameter, as in [`block_gives`].
///
/// # Panics
/// If the injector can't be built or computed; the message has its author's file and line.
pub fn injector_gives<const N: usize>(
    injector: &dyn Injector,
    state: &[[f64; N]],
    input: &[[f64; N]],
    value: impl Fn(&str, usize) -> f64,
) -> Vec<[f64; N]> {
    of_injector(injector, [state, input], value, |injector, state, at, _| injector.inject(state, at))
}

/// What is read of a built injector, a state and an embedded prompt.
pub(crate) fn of_injector<const N: usize>(
    injector: &dyn Injector,
    [state, input]: [&[[f64; N]]; 2],
    value: impl Fn(&str, usize) -> f64,
    read: impl for<'t> FnOnce(&dyn Inject, Value<'t>, At<'t>, &mut Params<'t>) -> Value<'t>,
) -> Vec<[f64; N]> {
    assert_eq!(state.len(), input.len(), "state and input are of one prompt, and so of as many tokens");
    let trace = Trace::new();
    let built = injector.build(&dims(N, input.len()), &mut trace.params());
    let at = At::new(trace.input(N));
    let carried = trace.carry(built.initial(at));
    trace.next(carried, carried.value());
    trace.read(read(built.as_ref(), carried.value(), at, &mut trace.params()));
    computed(trace, [input, state], value)
}

const fn dims(width: usize, tokens: usize) -> ModelDims {
    ModelDims { n_dims: width, n_positions: tokens, n_embd: width, n_layer: 1 }
}

/// The rows that a recorded expression reads, of one prompt's input and state, in the first loop.
fn computed<const N: usize>(
    trace: Trace,
    [input, state]: [&[[f64; N]]; 2],
    value: impl Fn(&str, usize) -> f64,
) -> Vec<[f64; N]> {
    let graph = trace.finish().unwrap_or_else(|error| panic!("{error}"));
    let rows = |rows: &[[f64; N]]| {
        Tensor::from_slice(rows.as_flattened(), (1, rows.len(), N), &Device::Cpu).unwrap()
    };
    let param = |info: &ParamInfo| {
        let values: Vec<f64> = (0..info.len()).map(|i| value(&info.name, i)).collect();
        Tensor::from_vec(values, info.dims.as_slice(), &Device::Cpu).unwrap()
    };
    let params: Vec<Tensor> = graph.params().iter().map(param).collect();
    let read = node_by_node(&graph, &params, [rows(input), rows(state)]);
    assert_eq!(read.dims(), [1, input.len(), N], "rows of another width come out than go in");
    let flat: Vec<f64> = read.flatten_all().unwrap().to_vec1().unwrap();
    flat.as_chunks().0.to_vec()
}

fn node_by_node(graph: &Graph, params: &[Tensor], [input, state]: [Tensor; 2]) -> Tensor {
    let tokens = input.dim(1).unwrap();
    let (dtype, device) = (DType::F64, &Device::Cpu);
    let of = Meaning { params, index: 0, loops: 1, sequences: 1, tokens, dtype, device };
    let mut values: Vec<Vec<Tensor>> = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        let value = |wire: &Wire| values[wire.node.index()][wire.output].clone();
        let results = match &node.source {
            Source::Input => vec![input.clone()],
            Source::State(_) => vec![state.clone()],
            Source::Op(op) => op
                .meaning(&node.inputs.iter().map(value).collect::<Vec<_>>(), of)
                .unwrap_or_else(|error| panic!("{}: {error}\n  at {}", node.name(), node.at)),
        };
        values.push(results);
    }
    let read = graph.read().expect("what a part gives is read");
    values[read.node.index()][read.output].clone()
}
