//! What this engine makes of a graph, before anything is run.

use looped_core::{Error, Result};
use looped_graph::Graph;
use looped_graph::lower::{Explained, Program};

use crate::engine::tokens_of;
use crate::plans::Plans;

/// What this engine makes of a graph for prompts of one length.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The nodes, in order.
    pub nodes: Vec<Explained>,
    /// Tokens of a prompt.
    pub tokens: usize,
    /// The first tokens that are the same in every loop, and so are computed once.
    pub early: usize,
    /// Tokens at the end that nothing reads, and that are left out.
    pub left_out: usize,
}

/// What this engine makes of a graph for prompts of `points` points.
///
/// # Errors
/// If it can't take the graph.
pub fn explain(graph: &Graph, points: usize) -> Result<Explanation> {
    let (tokens, reads) = tokens_of(points);
    let plans = Plans::new(graph);
    let nodes = Program::explain(graph, tokens, &reads, &plans).map_err(Error::Data)?;
    let early = Program::early_tokens(graph, tokens, &reads, &plans);
    let left_out = tokens - Program::tokens_in_use(graph, tokens, &reads);
    Ok(Explanation { nodes, tokens, early, left_out })
}
