//! The lists of steps for the early tokens, and for those that are looped over.

use std::collections::{HashMap, HashSet};

use super::arena::{Buf, NOTHING, place};
use super::emit::{Emit, Known, Memory};
use super::units::{Unit, form};
use super::{Chunk, Kernel, Place, Sizes, Space, Step};
use crate::rows::{demand_if, live};
use crate::{Demand, Form, NodeId, Rate, Reach, Rows, Source, Wire};

/// Steps forward, and those that go back over them.
#[derive(Clone, Debug, Default)]
pub struct Pair {
    /// In order.
    pub forward: Vec<Step>,
    /// In order: the last forward step's gradient comes first.
    pub backward: Vec<Step>,
}

/// The early tokens: run once, whatever the number of loops.
#[derive(Clone, Debug)]
pub struct Early {
    /// Its tokens.
    pub chunk: Chunk,
    /// Where the prompt's tokens as given belong.
    pub input: Place,
    /// Where the predictions come.
    pub predictions: Place,
    /// Where the gradient with respect to them belongs.
    pub slopes: Place,
    /// Gradients with respect to what was left for the later tokens: to be 0 before those are run backward.
    pub left: Vec<Place>,
    /// The steps.
    pub steps: Pair,
    /// The forward steps where nothing is trained.
    pub ask: Vec<Step>,
}

/// The tokens that are looped over.
#[derive(Clone, Debug)]
pub struct Looped {
    /// Its tokens.
    pub chunk: Chunk,
    /// Where the prompt's tokens as given belong.
    pub input: Place,
    /// Where the predictions come.
    pub predictions: Place,
    /// Where the gradient with respect to them belongs, in each loop.
    pub slopes: Place,
    /// The state, in each loop.
    pub state: Place,
    /// The gradient with respect to it.
    pub dstate: Place,
    /// Gradients with respect to values that all loops read: to be 0 before the first loop is run backward.
    pub shared: Vec<Place>,
    /// What is the same for all loops, and the first state.
    pub prelude: Pair,
    /// The same where the first state's gradient counts too: more is kept for it.
    pub prelude_from_state: Pair,
    /// A loop of which nothing is kept.
    pub free: Vec<Step>,
    /// A loop that will be run backward.
    pub body: Pair,
    /// The last loop, with its predictions: nothing reads the state after it.
    pub last: Pair,
    /// The predictions after a loop that is kept.
    pub read: Pair,
    /// The predictions after a loop that isn't.
    pub ask: Vec<Step>,
}

/// What the lists of one part share.
pub(super) struct Part<'k> {
    pub(super) known: &'k Known<'k>,
    pub(super) chunk: Chunk,
    pub(super) before: HashMap<NodeId, Memory>,
    pub(super) apart: bool,
}

/// A value that all loops read, where it lies, and where its gradient does.
type Export = (Wire, Place, Option<Place>);

pub(super) fn give_exports(emit: &mut Emit<'_>, exports: &[Export]) {
    for (wire, value, gradient) in exports {
        let buf = emit.home(*value);
        emit.give(*wire, buf, Demand::All);
        if let Some(gradient) = gradient {
            let buf = emit.home(*gradient);
            emit.grads.insert(*wire, buf);
        }
    }
}

/// The nodes that `roots` need, but for those given.
pub(super) fn closure(emit: &Emit<'_>, roots: &[Wire], given: &HashSet<Wire>) -> Vec<NodeId> {
    let graph = emit.graph();
    let (mut seen, mut open) = (HashSet::new(), roots.to_vec());
    while let Some(wire) = open.pop() {
        if given.contains(&wire) || !seen.insert(wire.node) {
            continue;
        }
        if !emit.loses_all(wire.node) {
            open.extend(&graph.node(wire.node).inputs);
        }
    }
    let mut nodes: Vec<NodeId> = seen.into_iter().collect();
    nodes.sort_unstable();
    nodes
}

/// The rows that are wanted of every node. Some steps work on all rows: they find a row's place by its number.
pub(super) fn rows_wanted(known: &Known<'_>, outputs: &[(Wire, Demand)]) -> Vec<Demand> {
    demand_if(known.graph, outputs, |node| match form(node) {
        Some(Form::Keep(_) | Form::Positions(_) | Form::Rotary(_) | Form::Custom(_)) => true,
        Some(Form::Norm(norm)) => !norm.has_kernel(),
        _ => false,
    })
}

/// Operations that see earlier rows, also those that are the same in every loop: the later tokens need what the early ones left there.
fn backward_looking<'k>(known: &'k Known<'_>) -> impl Iterator<Item = NodeId> + 'k {
    let graph = known.graph;
    // What nobody reads may see the state, which early tokens don't have.
    let live = live(graph);
    let back = move |id: &NodeId| graph.node(*id).op().is_some_and(|op| op.reach() == Reach::Back);
    graph.ids().filter(move |id| live[id.index()]).filter(back)
}

/// How much an operation leaves for the tokens after a chunk.
fn memory_len(known: &Known<'_>, node: NodeId, chunk: &Chunk) -> usize {
    let of = known.graph.node(node);
    let width = |i: usize| known.graph.shape(of.inputs[i]).width;
    match form(of) {
        Some(Form::Attention(_)) => chunk.rows() * width(0),
        Some(Form::Shift(by)) => chunk.sequences * by.min(chunk.tokens) * width(0),
        Some(Form::Scan) => chunk.sequences * width(1),
        Some(Form::Recur(cell)) => chunk.sequences * cell.widths.iter().sum::<usize>(),
        _ => 0,
    }
}

/// The early tokens' lists, and what they leave.
pub(super) fn early(
    known: &Known<'_>,
    chunk: Chunk,
    sizes: &mut Sizes,
    apart: bool,
) -> (Early, HashMap<NodeId, Memory>) {
    let graph = known.graph;
    let leaves: HashMap<NodeId, Memory> = backward_looking(known)
        .map(|node| {
            let len = memory_len(known, node, &chunk);
            let values = sizes.take(Space::Early, len);
            (node, Memory { values, gradient: sizes.take(Space::Early, len) })
        })
        .collect();
    let input = sizes.take(Space::Early, chunk.rows() * graph.input_width());
    let read = graph.read().unwrap_or(graph.carried()[0].next);
    let read_len = chunk.read_rows() * graph.shape(read).width;
    let predictions = sizes.take(Space::Early, read_len);
    let slopes = sizes.take(Space::Early, read_len);
    let none = HashMap::new();
    // `Program::new` has refused a graph that predicts nothing.
    let mut roots = vec![read];
    roots.extend(leaves.keys().map(|&node| Wire { node, output: 0 }));
    roots.sort_unstable();
    let wanted: Vec<(Wire, Demand)> = roots.iter().map(|wire| (*wire, Demand::Read)).collect();
    let lists = |training: bool, sizes: &mut Sizes| {
        let mut emit = Emit::new(known, &chunk, rows_wanted(known, &wanted), &none, training);
        emit.leaves.clone_from(&leaves);
        give_input(&mut emit, input);
        let nodes = closure(&emit, &roots, &inputs(known));
        pass(&mut emit, &nodes, (read, predictions), training.then_some((slopes, Demand::Read)));
        placed(emit, Space::Early, sizes, apart)
    };
    let steps = lists(true, sizes);
    let ask = lists(false, sizes).forward;
    let mut left: Vec<Place> = leaves.values().map(|memory| memory.gradient).collect();
    left.sort_unstable_by_key(|place| place.start);
    (Early { chunk: chunk.clone(), input, predictions, slopes, left, steps, ask }, leaves)
}

/// The lists of the tokens that are looped over.
pub(super) fn looped(
    known: &Known<'_>,
    chunk: Chunk,
    before: HashMap<NodeId, Memory>,
    sizes: &mut Sizes,
    apart: bool,
) -> Looped {
    Part { known, chunk, before, apart }.looped(sizes)
}

impl Part<'_> {
    fn looped(self, sizes: &mut Sizes) -> Looped {
        let (known, graph) = (self.known, self.known.graph);
        let carried = graph.carried()[0];
        let read = graph.read().unwrap_or(carried.next);
        let width = graph.shape(carried.state).width;
        let state_len = self.chunk.rows() * width;
        let input = sizes.take(Space::Chunk, self.chunk.rows() * graph.input_width());
        let read_len = self.chunk.read_rows() * graph.shape(read).width;
        let predictions = sizes.take(Space::Chunk, read_len);
        let dstate = sizes.take(Space::Chunk, state_len);
        let state = sizes.take(Space::Slot, state_len);
        let slopes = sizes.take(Space::Slot, read_len);
        let next = Place { space: Space::Next, ..state };

        // What all loops read.
        let exports: Vec<Export> = self
            .exports()
            .into_iter()
            .map(|wire| {
                let len = self.chunk.rows() * graph.shape(wire).width;
                let value = sizes.take(Space::Chunk, len);
                let needs = known.needs[wire.node.index()];
                (wire, value, needs.then(|| sizes.take(Space::Chunk, len)))
            })
            .collect();
        let shared = exports.iter().filter_map(|(_, _, gradient)| *gradient).collect();
        let given: HashSet<Wire> =
            exports.iter().map(|(wire, ..)| *wire).chain([carried.state]).chain(inputs(known)).collect();

        let (prelude, prelude_from_state) = self.prelude(&exports, input, state, dstate, sizes);

        let body_emit = |wanted: &[(Wire, Demand)], training: bool| {
            let mut emit = Emit::new(known, &self.chunk, rows_wanted(known, wanted), &self.before, training);
            give_exports(&mut emit, &exports);
            let buf = emit.home(state);
            emit.give(carried.state, buf, Demand::All);
            emit
        };
        let leave = |emit: &mut Emit<'_>| match emit.grads.get(&carried.state).copied() {
            Some(from) => emit.replace(from, dstate),
            None => {
                let to = emit.home(dstate);
                emit.step(Kernel::Fill(0.0), &[to]);
            }
        };

        let header = sizes.slot;
        let body = {
            let mut emit = body_emit(&[(carried.next, Demand::All)], true);
            let nodes = closure(&emit, &[carried.next], &given);
            pass(&mut emit, &nodes, (carried.next, next), Some((dstate, Demand::All)));
            leave(&mut emit);
            placed(emit, Space::Slot, sizes, self.apart)
        };
        let read_pair = self.read(&exports, next, dstate, predictions, Some(slopes), sizes);
        let with_body = std::mem::replace(&mut sizes.slot, header);
        let last = {
            let mut emit = body_emit(&[(read, Demand::Read)], true);
            let nodes = closure(&emit, &[read], &given);
            pass(&mut emit, &nodes, (read, predictions), Some((slopes, Demand::Read)));
            leave(&mut emit);
            placed(emit, Space::Slot, sizes, self.apart)
        };
        sizes.slot = sizes.slot.max(with_body);
        let free = {
            let mut emit = body_emit(&[(carried.next, Demand::All)], false);
            let nodes = closure(&emit, &[carried.next], &given);
            // The next state takes the present one's place, if nothing reads that one any more.
            forward(&mut emit, &nodes, &[]);
            let result = emit.value(carried.next);
            emit.replace(result, state);
            placed(emit, Space::Slot, sizes, self.apart).forward
        };
        let ask = self.read(&exports, state, dstate, predictions, None, sizes).forward;
        let chunk = self.chunk.clone();
        Looped {
            chunk,
            input,
            predictions,
            slopes,
            state,
            dstate,
            shared,
            prelude,
            prelude_from_state,
            free,
            body,
            last,
            read: read_pair,
            ask,
        }
    }

    /// Values that don't change from loop to loop and that loops read, the first state left out.
    pub(super) fn exports(&self) -> Vec<Wire> {
        let graph = self.known.graph;
        let mut exports: Vec<Wire> = graph
            .ids()
            .filter(|id| self.known.rates[id.index()] == Rate::Loop)
            .flat_map(|id| graph.node(id).inputs.clone())
            .chain([graph.carried()[0].next])
            .filter(|wire| self.known.rates[wire.node.index()] == Rate::Chunk)
            .filter(|wire| graph.shape(*wire).rows == Rows::Tokens)
            .collect();
        exports.sort_unstable();
        exports.dedup();
        exports
    }

    fn prelude(
        &self,
        exports: &[Export],
        input: Place,
        state: Place,
        dstate: Place,
        sizes: &mut Sizes,
    ) -> (Pair, Pair) {
        let (known, graph) = (self.known, self.known.graph);
        let first = graph.carried()[0].first;
        let mut roots: Vec<Wire> = exports.iter().map(|(wire, ..)| *wire).collect();
        roots.push(first);
        let wanted: Vec<(Wire, Demand)> = roots.iter().map(|wire| (*wire, Demand::All)).collect();
        let lists = |from_state: bool| {
            let mut emit = Emit::new(known, &self.chunk, rows_wanted(known, &wanted), &self.before, true);
            give_input(&mut emit, input);
            let nodes = closure(&emit, &roots, &inputs(known));
            for (wire, value, _) in exports {
                emit.send(*wire, *value);
            }
            let mut results: Vec<(Wire, Place)> =
                exports.iter().map(|(wire, value, _)| (*wire, *value)).collect();
            results.push((first, state));
            forward(&mut emit, &nodes, &results);
            emit.turn();
            for (wire, _, gradient) in exports {
                if let Some(gradient) = gradient {
                    let buf = emit.home(*gradient);
                    emit.grads.insert(*wire, buf);
                }
            }
            if from_state && known.needs[first.node.index()] {
                let buf = emit.home(dstate);
                emit.hand_over(buf, Demand::All, first);
            }
            nodes.iter().rev().for_each(|node| emit.backward(*node));
            emit
        };
        // One of the two is run, so they share their room.
        let before = *sizes;
        let pair = placed(lists(false), Space::Chunk, sizes, self.apart);
        let mut again = before;
        let from_state = placed(lists(true), Space::Chunk, &mut again, self.apart);
        sizes.chunk = sizes.chunk.max(again.chunk);
        sizes.scratch = sizes.scratch.max(again.scratch);
        (pair, from_state)
    }

    /// The predictions from a state that lies at `from`; backward only with slopes.
    fn read(
        &self,
        exports: &[Export],
        from: Place,
        dnext: Place,
        predictions: Place,
        slopes: Option<Place>,
        sizes: &mut Sizes,
    ) -> Pair {
        let (known, graph) = (self.known, self.known.graph);
        let next = graph.carried()[0].next;
        let read = graph.read().unwrap_or(next);
        let wanted = [(read, Demand::Read)];
        let training = slopes.is_some();
        let mut emit = Emit::new(known, &self.chunk, rows_wanted(known, &wanted), &self.before, training);
        give_exports(&mut emit, exports);
        let buf = emit.home(from);
        emit.give(next, buf, Demand::All);
        let given = exports.iter().map(|(wire, ..)| *wire).chain([next]).collect();
        let nodes = closure(&emit, &[read], &given);
        let dnext = emit.home(dnext);
        emit.grads.insert(next, dnext);
        pass(&mut emit, &nodes, (read, predictions), slopes.map(|slopes| (slopes, Demand::Read)));
        placed(emit, Space::Slot, sizes, self.apart)
    }
}

/// The steps of `nodes` to a result that is to lie somewhere, and back, if the gradient with respect to it lies somewhere too.
fn pass(
    emit: &mut Emit<'_>,
    nodes: &[NodeId],
    (result, place): (Wire, Place),
    gradient: Option<(Place, Demand)>,
) {
    emit.send(result, place);
    forward(emit, nodes, &[(result, place)]);
    if let Some((from, rows)) = gradient {
        emit.turn();
        let from = emit.home(from);
        emit.hand_over(from, rows, result);
        nodes.iter().rev().for_each(|node| emit.backward(*node));
    }
}

/// The forward steps of `nodes`, whose `results` come to lie at their places.
pub(super) fn forward(emit: &mut Emit<'_>, nodes: &[NodeId], results: &[(Wire, Place)]) {
    nodes.iter().for_each(|node| emit.forward(*node));
    for (wire, place) in results {
        let rows = if place.len as usize == emit.rows(Demand::All) * emit.width(*wire) {
            Demand::All
        } else {
            Demand::Read
        };
        let from = emit.value_at(*wire, rows);
        if emit.buffers[from.0].home != Some(*place) {
            let to = emit.home(*place);
            emit.step(Kernel::Copy, &[from, to]);
        }
    }
}

pub(super) fn placed(emit: Emit<'_>, kept: Space, sizes: &mut Sizes, apart: bool) -> Pair {
    let [forward, backward] = place(&emit.buffers, emit.lists, kept, sizes, apart);
    Pair { forward, backward }
}

pub(super) fn inputs(known: &Known<'_>) -> HashSet<Wire> {
    let graph = known.graph;
    let input = |id: &NodeId| matches!(graph.node(*id).source, Source::Input);
    graph.ids().filter(input).map(|node| Wire { node, output: 0 }).collect()
}

pub(super) fn give_input(emit: &mut Emit<'_>, place: Place) {
    for wire in inputs(emit.known) {
        let buf = emit.home(place);
        emit.give(wire, buf, Demand::All);
    }
}

impl Emit<'_> {
    /// Whether a node's rows are all lost in this chunk, so that it needs no input.
    fn loses_all(&self, node: NodeId) -> bool {
        match (&self.known.units[node.index()], form(self.graph().node(node))) {
            (Unit::Alone, Some(Form::Keep(keep))) => {
                let (from, to) = keep.kept(self.known.tokens);
                let (first, end) = (self.chunk.first, self.chunk.first + self.chunk.tokens);
                from.clamp(first, end) >= to.clamp(first, end)
            }
            _ => false,
        }
    }

    /// Lets the present list end with `result` at `place`; what lay there before isn't needed after the list.
    pub(super) fn replace(&mut self, result: Buf, place: Place) {
        if self.buffers[result.0].home == Some(place) {
            return;
        }
        let list = &self.lists[usize::from(self.backward)];
        let there = |buf: &Buf| *buf != NOTHING && self.buffers[buf.0].home == Some(place);
        let written = list.iter().position(|draft| draft.bufs.contains(&result));
        let read = list.iter().rposition(|draft| draft.bufs.iter().any(there));
        if self.buffers[result.0].home.is_none() && written > read {
            self.buffers[result.0].home = Some(place);
        } else {
            let to = self.home(place);
            self.step(Kernel::Copy, &[result, to]);
        }
    }
}
