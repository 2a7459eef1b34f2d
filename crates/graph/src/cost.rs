//! What a pass over one prompt costs.

use crate::{Demand, Graph, Node, NodeId, Rate, Rows, Shape, demand, rates, unchanging_tokens};

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
    let rates = rates(graph);
    let mut ends: Vec<_> = graph.carried().iter().map(|carried| (carried.next, Demand::All)).collect();
    ends.extend(graph.read().map(|read| (read, Demand::Read)));
    let demand = demand(graph, &ends);
    let border = unchanging_tokens(graph, tokens);
    let all: Vec<usize> = (0..tokens).collect();
    let of = |id: NodeId| {
        let (i, node) = (id.index(), graph.node(id));
        let mut flops = Flops::default();
        if rates[i] == Rate::Step {
            return flops;
        }
        for &token in if demand[i] == Demand::Read { reads } else { &all } {
            let own = of_token(graph, node, token);
            if rates[i] == Rate::Chunk || token < border {
                flops.once += own;
            } else {
                flops.each_loop += own;
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

/// About how many numbers candle keeps for the backward pass of one prompt of so many tokens: once, and of each loop.
#[must_use]
pub fn kept_by_candle(graph: &Graph, tokens: usize) -> (u64, u64) {
    let (mut once, mut each_loop) = (0, 0);
    for (node, rate) in graph.nodes().iter().zip(rates(graph)) {
        let Some(op) = node.op() else { continue };
        let inputs: Vec<Shape> = node.inputs.iter().map(|wire| graph.shape(*wire)).collect();
        let kept = op.kept_by_candle(&inputs, tokens);
        if rate < Rate::Loop { once += kept } else { each_loop += kept }
    }
    (once, each_loop)
}

fn of_token(graph: &Graph, node: &Node, token: usize) -> u64 {
    let Some(op) = node.op().filter(|_| node.shapes[0].rows == Rows::Tokens) else { return 0 };
    let inputs: Vec<Shape> = node.inputs.iter().map(|wire| graph.shape(*wire)).collect();
    op.flops(&inputs, token)
}
