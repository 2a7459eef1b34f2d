//! The loops for someone who looks on: some values of all tokens, after each.

use std::collections::{HashMap, HashSet};

use super::arena::Sizes;
use super::emit::{Emit, Known};
use super::part::{Part, closure, forward, give_exports, give_input, inputs, placed, rows_wanted};
use super::{Chunk, Place, Space, Step};
use crate::{Demand, Rate, Wire};

/// Loops of which nothing is kept, over all tokens, and where some values lie after each.
#[derive(Clone, Debug)]
pub struct Watched {
    /// All tokens.
    pub chunk: Chunk,
    /// Where the prompt's tokens as given belong.
    pub input: Place,
    /// Where the values come that were asked for, in that order.
    pub seen: Vec<Place>,
    /// What is the same for all loops, and the first state.
    pub prelude: Vec<Step>,
    /// A loop.
    pub each: Vec<Step>,
}

/// The lists of loops that are looked at; `wires` are values with a row for each token.
pub(super) fn watched(
    known: &Known<'_>,
    chunk: Chunk,
    wires: &[Wire],
    sizes: &mut Sizes,
    apart: bool,
) -> Watched {
    let (graph, rows, none) = (known.graph, chunk.rows(), HashMap::new());
    let carried = graph.carried()[0];
    let part = Part { known, chunk: chunk.clone(), before: HashMap::new(), apart };
    let mut take = |wire: Wire| sizes.take(Space::Chunk, rows * graph.shape(wire).width);
    let exports: Vec<_> = part.exports().into_iter().map(|wire| (wire, take(wire), None)).collect();
    let state = take(carried.state);
    let seen: Vec<Place> = wires.iter().map(|wire| take(*wire)).collect();
    let input = sizes.take(Space::Chunk, rows * graph.input_width());

    let each_loop = |wire: &Wire| known.rates[wire.node.index()] == Rate::Loop;
    let asked = || wires.iter().copied().zip(seen.iter().copied());
    let (changing, steady): (Vec<_>, Vec<_>) = asked().partition(|(wire, _)| each_loop(wire));
    let emit = |roots: &[Wire]| {
        let wanted: Vec<(Wire, Demand)> = roots.iter().map(|wire| (*wire, Demand::All)).collect();
        Emit::new(known, &chunk, rows_wanted(known, &wanted), &none, false)
    };

    let prelude = {
        let mut results: Vec<(Wire, Place)> =
            exports.iter().map(|(wire, place, _)| (*wire, *place)).collect();
        results.push((carried.first, state));
        results.extend(steady);
        let roots: Vec<Wire> = results.iter().map(|(wire, _)| *wire).collect();
        let mut emit = emit(&roots);
        give_input(&mut emit, input);
        let nodes = closure(&emit, &roots, &inputs(known));
        forward(&mut emit, &nodes, &results);
        placed(emit, Space::Chunk, sizes, apart).forward
    };
    let each = {
        let roots: Vec<Wire> = changing.iter().map(|(wire, _)| *wire).chain([carried.next]).collect();
        let mut emit = emit(&roots);
        give_exports(&mut emit, &exports);
        let buf = emit.home(state);
        emit.give(carried.state, buf, Demand::All);
        let given: HashSet<Wire> =
            exports.iter().map(|(wire, ..)| *wire).chain([carried.state]).chain(inputs(known)).collect();
        let nodes = closure(&emit, &roots, &given);
        forward(&mut emit, &nodes, &changing);
        let result = emit.value(carried.next);
        emit.replace(result, state);
        placed(emit, Space::Chunk, sizes, apart).forward
    };
    Watched { chunk, input, seen, prelude, each }
}
