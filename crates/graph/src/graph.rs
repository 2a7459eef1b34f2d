//! What was recorded.

use std::panic::Location;
use std::sync::Arc;

use crate::{Form, Op, ParamInfo, Shape};

/// A node's number. A node's inputs have smaller ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// Where it stands in [`Graph::nodes`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One result of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wire {
    /// The node.
    pub node: NodeId,
    /// Which of its results; 0 for all but recurrences and custom operations.
    pub output: usize,
}

/// Where a node's results come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The prompt's tokens as they are given.
    Input,
    /// The state that the loop carries, by its place in [`Graph::carried`].
    State(usize),
    /// An operation on the node's inputs.
    Op(Arc<dyn Op>),
}

/// A step of the computation.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it does.
    pub source: Source,
    /// What it reads.
    pub inputs: Vec<Wire>,
    /// The shape of each of its results.
    pub shapes: Vec<Shape>,
    /// The part of the model it belongs to, as in `h.0`.
    pub scope: Arc<str>,
    /// Its name, if its author gave it one ([`Value::probe`](crate::Value::probe)).
    pub probe: Option<String>,
    /// Where its author wrote it.
    pub at: &'static Location<'static>,
}

impl Node {
    /// `input`, `state`, or the operation's name.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.source {
            Source::Input => "input".to_owned(),
            Source::State(_) => "state".to_owned(),
            Source::Op(op) => op.name(),
        }
    }

    /// The operation, if it is one.
    #[must_use]
    pub fn op(&self) -> Option<&dyn Op> {
        match &self.source {
            Source::Op(op) => Some(&**op),
            _ => None,
        }
    }
}

/// A value that goes from each loop to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Before the first loop.
    pub first: Wire,
    /// In a loop, as the loop before left it.
    pub state: Wire,
    /// After a loop.
    pub next: Wire,
}

/// A recorded model.
///
/// Nodes are in the order in which they were written, each after its inputs.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) params: Vec<ParamInfo>,
    pub(crate) carried: Vec<Carried>,
    pub(crate) read: Option<Wire>,
    pub(crate) noise: usize,
}

impl Graph {
    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node called `id`.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Numbers of all nodes, in order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// The shape of one of a node's results.
    #[must_use]
    pub fn shape(&self, wire: Wire) -> Shape {
        self.node(wire.node).shapes[wire.output]
    }

    /// The parameters that it asks for, in the order in which they were asked for.
    #[must_use]
    pub fn params(&self) -> &[ParamInfo] {
        &self.params
    }

    /// The values that go from loop to loop.
    #[must_use]
    pub fn carried(&self) -> &[Carried] {
        &self.carried
    }

    /// The prediction of each row after a loop; `None` in a graph that predicts nothing.
    #[must_use]
    pub fn read(&self) -> Option<Wire> {
        self.read
    }

    /// What [`Value::probe`](crate::Value::probe) gave a name to.
    #[must_use]
    pub fn probed(&self, name: &str) -> Option<Wire> {
        let found = self.ids().find(|id| self.node(*id).probe.as_deref() == Some(name))?;
        Some(Wire { node: found, output: 0 })
    }

    /// What is read from outside: what the loop carries on, what is predicted, and what has a name.
    pub(crate) fn ends(&self) -> impl Iterator<Item = Wire> + '_ {
        let named = self.ids().filter(|id| self.node(*id).probe.is_some());
        let named = named.map(|node| Wire { node, output: 0 });
        self.carried.iter().flat_map(|of| [of.first, of.next]).chain(self.read).chain(named)
    }

    /// Numbers in a row of the input: one of the prompt's tokens as they are given, and the noise beside it; 0 in a graph without an input.
    #[must_use]
    pub fn input_width(&self) -> usize {
        let input = self.nodes.iter().find(|node| matches!(node.source, Source::Input));
        input.map_or(0, |node| node.shapes[0].width)
    }

    /// How many of them, the last ones, are noise: [`Trace::input_beside_noise`](crate::Trace::input_beside_noise).
    #[must_use]
    pub fn noise_width(&self) -> usize {
        self.noise
    }

    /// How many entries each table has that the prompt's tokens are looked up in: a token's number is below all of them.
    pub fn vocabularies(&self) -> impl Iterator<Item = usize> + '_ {
        self.nodes.iter().filter_map(|node| match node.op().map(Op::form) {
            Some(Form::Lookup { entries, .. }) => Some(entries),
            _ => None,
        })
    }

    /// For each parameter, whether it is the weight of a product: of a [`Linear`](crate::Linear) layer, also one within a recurrence.
    #[must_use]
    pub fn weights(&self) -> Vec<bool> {
        let mut found = vec![false; self.params.len()];
        for op in self.nodes.iter().filter_map(Node::op) {
            match op.form() {
                Form::Linear(layer) => found[layer.weight.index()] = true,
                Form::Recur(cell) => {
                    for op in cell.nodes.iter().filter_map(Node::op) {
                        if let Form::Linear(layer) = op.form() {
                            found[layer.weight.index()] = true;
                        }
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// For each node, whether its results depend on a parameter: only those have a gradient.
    #[must_use]
    pub fn needs_gradient(&self) -> Vec<bool> {
        let mut needs: Vec<bool> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let own = match &node.source {
                // The state of an earlier loop does, since a loop without parameters learns nothing.
                Source::State(_) => true,
                Source::Input => false,
                Source::Op(op) => !op.params().is_empty(),
            };
            let stopped = node.op().is_some_and(|op| op.stops_gradient());
            let inputs = node.inputs.iter().any(|wire| needs[wire.node.index()]);
            needs.push(!stopped && (own || inputs));
        }
        needs
    }
}
