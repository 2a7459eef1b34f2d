//! A recurrence over the tokens, whose cell is recorded.

use candle_core::{Result, Tensor};

use super::takes_tokens;
use crate::graph::{Node, Source};
use crate::{Form, Meaning, Op, Param, Reach, Shape, Trace, TraceError, Value, Wire};

/// What a recurrence does at one token: row-wise nodes over one row of the input and the last states.
///
/// Node 0 is the input's row (a source [`Source::Input`]), nodes 1 to n are the states before the token ([`Source::State`]); all others are operations.
#[derive(Clone, Debug)]
pub struct Cell {
    /// In order, each after its inputs.
    pub nodes: Vec<Node>,
    /// How wide each state is.
    pub widths: Vec<usize>,
    /// The states after the token.
    pub next: Vec<Wire>,
}

/// [`Value::recur`].
#[derive(Clone, Debug)]
pub struct Recur {
    /// What is done at a token.
    pub cell: Cell,
}

impl Recur {
    /// Records the cell. Its parameters are those of the trace around it.
    #[track_caller]
    pub(crate) fn record<const N: usize>(
        outer: &Trace,
        input: Shape,
        widths: [usize; N],
        cell: impl for<'c> FnOnce(Value<'c>, [Value<'c>; N]) -> [Value<'c>; N],
    ) -> std::result::Result<Self, TraceError> {
        let inner = outer.for_cell();
        let next = {
            let x = inner.input(input.width);
            let states = std::array::from_fn(|i| inner.cell_state(i, widths[i]));
            cell(x, states).map(|value| (value.wire(), value.shape()))
        };
        let nodes = inner.finish_cell()?;
        for (i, (_, shape)) in next.iter().enumerate() {
            if *shape != Shape::tokens(widths[i]) {
                return Err(TraceError {
                    scope: String::new(),
                    what: format!("state {i} is {} numbers wide, and the cell makes it {shape}", widths[i]),
                    at: std::panic::Location::caller(),
                });
            }
        }
        if let Some(node) = nodes.iter().find(|node| node.op().is_some_and(|op| op.reach() != Reach::Own)) {
            return Err(TraceError {
                scope: String::new(),
                what: format!("{} sees other tokens, and a cell has one only", node.name()),
                at: node.at,
            });
        }
        let next = next.map(|(wire, _)| wire).to_vec();
        Ok(Self { cell: Cell { nodes, widths: widths.to_vec(), next } })
    }
}

impl Recur {
    /// A number of one node of the cell, from its operation and the shapes of its inputs; 0 of what is no operation.
    fn of_node(&self, node: &Node, number: impl FnOnce(&dyn Op, &[Shape]) -> u64) -> u64 {
        let shape = |wire: &Wire| self.cell.nodes[wire.node.index()].shapes[wire.output];
        let shapes: Vec<Shape> = node.inputs.iter().map(shape).collect();
        node.op().map_or(0, |op| number(op, &shapes))
    }
}

impl Op for Recur {
    fn name(&self) -> String {
        "recur".to_owned()
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        takes_tokens(inputs[0])?;
        Ok(self.cell.widths.iter().map(|&width| Shape::tokens(width)).collect())
    }

    fn reach(&self) -> Reach {
        Reach::Back
    }

    fn params(&self) -> Vec<Param> {
        self.cell.nodes.iter().filter_map(Node::op).flat_map(Op::params).collect()
    }

    fn flops(&self, _: &[Shape], _: usize) -> u64 {
        self.cell.nodes.iter().map(|node| self.of_node(node, |op, shapes| op.flops(shapes, 0))).sum()
    }

    /// What its cell keeps at each token, and the states side by side.
    fn kept_by_candle(&self, _: &[Shape], tokens: usize) -> u64 {
        let cell: u64 = self
            .cell
            .nodes
            .iter()
            .map(|node| self.of_node(node, |op, shapes| op.kept_by_candle(shapes, 1)))
            .sum();
        tokens as u64 * (cell + self.cell.widths.iter().sum::<usize>() as u64)
    }

    fn form(&self) -> Form<'_> {
        Form::Recur(&self.cell)
    }

    fn meaning(&self, inputs: &[Tensor], of: Meaning<'_>) -> Result<Vec<Tensor>> {
        let (sequences, tokens, _) = inputs[0].dims3()?;
        let zeros = |&width: &usize| Tensor::zeros((sequences, 1, width), of.dtype, of.device);
        let mut states = self.cell.widths.iter().map(zeros).collect::<Result<Vec<_>>>()?;
        let mut outputs = vec![Vec::with_capacity(tokens); states.len()];
        for token in 0..tokens {
            let mut values: Vec<Vec<Tensor>> = Vec::with_capacity(self.cell.nodes.len());
            for node in &self.cell.nodes {
                values.push(match &node.source {
                    Source::Input => vec![inputs[0].narrow(1, token, 1)?],
                    Source::State(i) => vec![states[*i].clone()],
                    Source::Op(op) => {
                        let inputs: Vec<Tensor> = node
                            .inputs
                            .iter()
                            .map(|wire| values[wire.node.index()][wire.output].clone())
                            .collect();
                        op.meaning(&inputs, Meaning { tokens: 1, ..of })?
                    }
                });
            }
            states =
                self.cell.next.iter().map(|wire| values[wire.node.index()][wire.output].clone()).collect();
            outputs.iter_mut().zip(&states).for_each(|(all, state)| all.push(state.clone()));
        }
        outputs.iter().map(|states| Tensor::cat(states, 1)).collect()
    }
}
