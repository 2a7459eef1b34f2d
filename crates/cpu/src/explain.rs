//! What this engine makes of a graph, before anything is run.

use looped_core::{Error, Result, TokenLayout};
use looped_graph::Graph;
use looped_graph::lower::{Explained, Program, by_candle};

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

/// What this engine makes of a graph for prompts of `points` points, which become tokens as `layout` says.
///
/// # Errors
/// If it can't take the graph.
pub fn explain(graph: &Graph, layout: TokenLayout, points: usize) -> Result<Explanation> {
    let (tokens, reads) = tokens_of(layout, points);
    let plans = Plans::new(graph);
    let nodes = Program::explain(graph, tokens, &reads, &plans).map_err(Error::Data)?;
    let early = Program::early_tokens(graph, tokens, &reads, &plans);
    let left_out = tokens - Program::tokens_in_use(graph, tokens, &reads);
    Ok(Explanation { nodes, tokens, early, left_out })
}

/// The operations that this engine runs by candle's operations, more slowly than its kernels would, each with the parts that it belongs to and
/// the place in its author's code. An operation that many layers have is told once.
#[must_use]
pub fn without_kernel(graph: &Graph) -> Vec<String> {
    let plans = Plans::new(graph);
    let mut told: Vec<(String, Vec<String>, String)> = Vec::new();
    for id in graph.ids() {
        let Some(why) = by_candle(graph, id, &plans) else { continue };
        let node = graph.node(id);
        let (name, part) = (node.name(), format!("`{}`", node.scope));
        let what = format!("it runs by candle's operations, more slowly, at {}: {why}", node.at);
        match told.iter_mut().find(|(known, _, same)| *known == name && *same == what) {
            Some((_, parts, _)) => parts.push(part),
            None => told.push((name, vec![part], what)),
        }
    }
    told.into_iter().map(|(name, parts, what)| format!("{name} of {}: {what}", parts.join(", "))).collect()
}
