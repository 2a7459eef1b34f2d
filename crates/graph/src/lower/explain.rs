//! What a program does, in words: for `looped check --explain`.

use std::collections::HashSet;

use super::{Engine, Kernel, Place, Program, Shapes, Space, Step, by_candle};
use crate::{Flops, Graph, NodeId, Rate, Rows, cost, rates};

/// What is known of a node before it is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The part of the model, as in `h.0`.
    pub part: String,
    /// The operation.
    pub name: String,
    /// The shape of its first result.
    pub shape: String,
    /// How often it is computed.
    pub rate: Rate,
    /// How many of a prompt's tokens it is computed for in each loop.
    pub looped_tokens: usize,
    /// Operations for one prompt, forward.
    pub flops: Flops,
    /// Bytes that are kept of it for each prompt and loop that is run backward.
    pub kept: usize,
    /// Whether it is computed once more for the backward pass.
    pub again: bool,
    /// Why it runs by its meaning, in candle's operations, if it does.
    pub by_candle: Option<String>,
}

impl Program {
    /// The nodes of a graph that are computed for one prompt, in order.
    ///
    /// # Errors
    /// If the graph can't be lowered.
    pub fn explain(
        graph: &Graph,
        tokens: usize,
        reads: &[usize],
        engine: &dyn Engine,
    ) -> Result<Vec<Explained>, String> {
        let shapes = Shapes { sequences: 1, tokens, reads: reads.into(), apart: false };
        let program = Self::new(graph, &shapes, engine)?;
        let rates = rates(graph);
        let flops = cost::flops_by_node(graph, tokens, reads);
        let (early, in_use) =
            (Self::early_tokens(graph, tokens, reads, engine), Self::tokens_in_use(graph, tokens, reads));
        let kept = program.looped.as_ref().map(|of| kept(&of.body.forward)).unwrap_or_default();
        let again = program.looped.as_ref().map(|of| again(&of.body.backward)).unwrap_or_default();
        let of = |id: NodeId| {
            let (i, node) = (id.index(), graph.node(id));
            let looped = rates[i] == Rate::Loop && node.shapes[0].rows == Rows::Tokens;
            Explained {
                part: node.scope.to_string(),
                name: node
                    .probe
                    .clone()
                    .map_or_else(|| node.name(), |probe| format!("{} ({probe})", node.name())),
                shape: node.shapes[0].to_string(),
                rate: rates[i],
                looped_tokens: if looped { in_use - early } else { 0 },
                flops: flops[i],
                kept: kept.iter().filter(|(of, _)| *of == id).map(|(_, len)| 4 * len).sum(),
                again: again.contains(&id),
                by_candle: by_candle(graph, id, engine),
            }
        };
        Ok(graph.ids().map(of).collect())
    }
}

/// The floats that each node's steps are the first to name in a slot.
fn kept(steps: &[Step]) -> Vec<(NodeId, usize)> {
    let mut seen: HashSet<(u32, u32)> = HashSet::new();
    let mut kept = Vec::new();
    for step in steps {
        for Place { space, start, len } in &step.places {
            if *space == Space::Slot && *len > 0 && seen.insert((*start, *len)) {
                kept.push((step.node, *len as usize));
            }
        }
    }
    kept
}

/// The nodes whose values are computed again in a backward list.
fn again(steps: &[Step]) -> HashSet<NodeId> {
    let forward = |step: &&Step| match &step.kernel {
        Kernel::Norm(_)
        | Kernel::Lookup(_)
        | Kernel::Positions(_)
        | Kernel::Keep { .. }
        | Kernel::Shift { .. } => true,
        Kernel::Point(of) => !of.is_gradient,
        _ => false,
    };
    steps.iter().filter(forward).map(|step| step.node).collect()
}
