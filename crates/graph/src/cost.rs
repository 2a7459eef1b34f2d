//! What a pass over one prompt costs.

use crate::{Demand, Graph, NodeId, Rate, Rows, Shape, demand, invariant_rows, rates};

/// Floating-point operations for one prompt, forward; a product of (m, k) and (k, n) counts 2mkn, elementwise work nothing.
///
/// A backward pass has two products for each one forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flops {
    /// Of what is the same in every loop.
    pub once: u64,
    /// Of each loop.
    pub each_loop: u64,
}

/// The operations of every node, for a prompt of so many tokens of which `reads` are predicted at.
#[must_use]
pub fn flops_by_node(graph: &Graph, tokens: usize, reads: &[usize]) -> Vec<Flops> {
    let (rates, unchanging) = (rates(graph), invariant_rows(graph, tokens));
    let mut ends: Vec<_> = graph.carried().iter().map(|carried| (carried.next, Demand::All)).collect();
    ends.extend(graph.read().map(|read| (read, Demand::Read)));
    let demand = demand(graph, &ends);
    // The early tokens are cut off where the state begins to matter: a node that changes later changes with its loop.
    let border = graph.carried().iter().map(|of| unchanging[of.next.node.index()]).min().unwrap_or(0);
    let of = |id: NodeId| {
        let (i, node) = (id.index(), graph.node(id));
        let shapes: Vec<Shape> = node.inputs.iter().map(|wire| graph.shape(*wire)).collect();
        let Some(op) = node.op() else { return Flops::default() };
        let row = |row: usize| op.flops(&shapes, row);
        let mut flops = Flops::default();
        if node.shapes[0].rows != Rows::Tokens || rates[i] == Rate::Step {
            return flops;
        }
        let all: Vec<usize> = (0..tokens).collect();
        for &at in if demand[i] == Demand::Read { reads } else { &all } {
            if rates[i] == Rate::Chunk || at < border {
                flops.once += row(at);
            } else {
                flops.each_loop += row(at);
            }
        }
        flops
    };
    graph.ids().map(of).collect()
}

/// The operations of all nodes together.
#[must_use]
pub fn flops(graph: &Graph, tokens: usize, reads: &[usize]) -> Flops {
    let add = |a: Flops, b: &Flops| Flops { once: a.once + b.once, each_loop: a.each_loop + b.each_loop };
    flops_by_node(graph, tokens, reads).iter().fold(Flops::default(), add)
}
