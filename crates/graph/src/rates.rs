//! How often a value has to be computed.

use crate::{Graph, Source};

/// How often a value changes, from the slowest on.
///
/// A value changes as often as the fastest of its inputs. What is slower than a loop is computed once for all loops; backward, its gradients add up over
/// them and go back once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rate {
    /// Once in a training step: what depends on parameters alone.
    Step,
    /// Once for each prompt: what depends on the prompt too.
    Chunk,
    /// In every loop: what depends on the state, or on the loop's number.
    Loop,
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Step => "step",
            Self::Chunk => "prompt",
            Self::Loop => "loop",
        })
    }
}

/// The rate of every node.
#[must_use]
pub fn rates(graph: &Graph) -> Vec<Rate> {
    let mut rates: Vec<Rate> = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        let own = match &node.source {
            Source::Input => Rate::Chunk,
            Source::State(_) => Rate::Loop,
            Source::Op(op) if op.by_loop() => Rate::Loop,
            Source::Op(_) => Rate::Step,
        };
        rates.push(node.inputs.iter().map(|wire| rates[wire.node.index()]).fold(own, Rate::max));
    }
    rates
}
