//! Which rows of a value have to be computed.

use crate::{Graph, Node, NodeId, Rate, Reach, Rows, Source, Wire, rates};

/// How many leading rows of every node, of `tokens`, are the same in every loop.
///
/// The state's first rows count as changing, although a state may happen to have a part that doesn't.
#[must_use]
pub fn invariant_rows(graph: &Graph, tokens: usize) -> Vec<usize> {
    let rates = rates(graph);
    let mut rows: Vec<usize> = Vec::with_capacity(graph.nodes().len());
    for (node, rate) in graph.nodes().iter().zip(rates) {
        let inputs = node.inputs.iter().map(|wire| rows[wire.node.index()]).min().unwrap_or(tokens);
        rows.push(match &node.source {
            _ if rate < Rate::Loop => tokens,
            Source::Input => tokens,
            Source::State(_) => 0,
            Source::Op(op) if op.by_loop() => 0,
            Source::Op(op) => op.invariant_rows(inputs, tokens),
        });
    }
    rows
}

/// How many leading tokens, of `tokens`, are the same in every loop for all that later tokens see of them: those can be computed once.
#[must_use]
pub fn unchanging_tokens(graph: &Graph, tokens: usize) -> usize {
    let (rows, live) = (invariant_rows(graph, tokens), live(graph));
    let ends = graph.carried().iter().map(|carried| rows[carried.next.node.index()]);
    // An operation that sees earlier rows must find them as they were: its input mustn't change before the border.
    let looks =
        |id: &NodeId| live[id.index()] && graph.node(*id).op().is_some_and(|op| op.reach() != Reach::Own);
    let inputs = graph.ids().filter(looks).flat_map(|id| &graph.node(id).inputs);
    let border = ends.chain(inputs.map(|wire| rows[wire.node.index()])).min().unwrap_or(0);
    // Of what sees all rows, also before the loops, no row can be computed while others are missing.
    let whole = graph.ids().any(|id| live[id.index()] && sees_all_tokens(graph, id));
    if whole && border < tokens { 0 } else { border }
}

/// Whether an operation's rows depend on all tokens.
fn sees_all_tokens(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    let of_tokens = node.inputs.iter().any(|wire| graph.shape(*wire).rows == Rows::Tokens);
    of_tokens && node.op().is_some_and(|op| op.reach() == Reach::All)
}

/// Whether anything that is carried on or predicted depends on each node.
pub(crate) fn live(graph: &Graph) -> Vec<bool> {
    let mut live = vec![false; graph.nodes().len()];
    let ends = graph.carried().iter().flat_map(|of| [of.first, of.next]).chain(graph.read());
    ends.for_each(|wire| live[wire.node.index()] = true);
    for id in graph.ids().rev() {
        if live[id.index()] {
            graph.node(id).inputs.iter().for_each(|wire| live[wire.node.index()] = true);
        }
    }
    live
}

/// Which rows of a value anything reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    /// None.
    None,
    /// Those at which predictions are made.
    Read,
    /// All.
    All,
}

/// What is demanded of every node if `outputs` are demanded.
#[must_use]
pub fn demand(graph: &Graph, outputs: &[(Wire, Demand)]) -> Vec<Demand> {
    demand_if(graph, outputs, |_| false)
}

/// The same for an engine that computes some operations on all rows or none, although each row sees its own alone.
pub(crate) fn demand_if(
    graph: &Graph,
    outputs: &[(Wire, Demand)],
    on_all_rows: impl Fn(&Node) -> bool,
) -> Vec<Demand> {
    let mut demand = vec![Demand::None; graph.nodes().len()];
    for (wire, what) in outputs {
        let of = &mut demand[wire.node.index()];
        *of = (*of).max(*what);
    }
    for (i, node) in graph.nodes().iter().enumerate().rev() {
        let own = node.op().is_some_and(|op| op.reach() == Reach::Own) && !on_all_rows(node);
        let of_inputs = match demand[i] {
            Demand::None => Demand::None,
            what if own => what,
            _ => Demand::All,
        };
        for wire in &node.inputs {
            let tokens = graph.shape(*wire).rows == Rows::Tokens;
            let what = if of_inputs == Demand::Read && !tokens { Demand::All } else { of_inputs };
            let of = &mut demand[wire.node.index()];
            *of = (*of).max(what);
        }
    }
    demand
}

/// Whether a token's row may depend on later tokens: then no token can be left out.
#[must_use]
pub fn sees_later_rows(graph: &Graph) -> bool {
    graph.ids().any(|id| sees_all_tokens(graph, id))
}
