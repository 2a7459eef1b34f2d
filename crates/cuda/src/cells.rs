//! Recurrences: how each cell of a graph is run, and the kernels of its elementwise code.

use std::collections::HashMap;

use looped_graph::cell::{Back, CellPlan, Code, Extent};
use looped_graph::lower::{Engine, RecurRoom};
use looped_graph::{Form, Graph, NodeId, Op};

use crate::point::{Goal, Text};

/// A cell's steps, and which of its buffers products read rounded, in the forward pass and in the backward one.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) steps: CellPlan,
    operands: [Vec<bool>; 2],
}

/// Which of a cell's lists elementwise code stands in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum List {
    Free,
    Recorded,
    Scan,
    Hoisted,
}

impl Cell {
    fn new(steps: CellPlan) -> Self {
        let [mut forward, mut backward] = [(); 2].map(|()| vec![false; steps.plan.buffers.0.len()]);
        for product in &steps.plan.products {
            for term in product.terms.iter().filter(|term| !term.layer.exact) {
                (forward[term.input.buffer], backward[term.input.buffer]) = (true, true);
                backward[steps.back.gradients[product.out].unwrap_or(product.out)] = true;
            }
        }
        Self { steps, operands: [forward, backward] }
    }

    /// Whether products of a pass, forward (0) or backward (1), read a buffer rounded, where they round.
    pub(crate) fn is_operand(&self, buffer: usize, half: usize) -> bool {
        self.operands[half][buffer]
    }

    /// Whether a buffer has the gradient with respect to a state after a token, to which that of the state's rows is added.
    pub(crate) fn is_slope(&self, buffer: usize) -> bool {
        self.steps.back.after.contains(&buffer)
    }

    fn texts(&self, node: NodeId, rounds: bool, text: &mut String) {
        let (plan, back) = (&self.steps, &self.steps.back);
        let forward = |codes: &[Code], list, text: &mut String| {
            codes.iter().enumerate().for_each(|(i, code)| self.text(code, node, (list, i), rounds, text));
        };
        forward(&plan.free, List::Free, text);
        forward(&plan.recorded, List::Recorded, text);
        for (steps, list) in [(&back.scan, List::Scan), (&back.hoisted, List::Hoisted)] {
            for (i, step) in steps.iter().enumerate() {
                if let Back::Points(code) = step {
                    self.text(code, node, (list, i), rounds, text);
                }
            }
        }
    }

    fn text(&self, code: &Code, node: NodeId, (list, index): (List, usize), rounds: bool, text: &mut String) {
        let half = usize::from(matches!(list, List::Scan | List::Hoisted));
        let width = |buffer: usize| self.steps.plan.buffers.0[buffer].width;
        let read = |(i, window): (usize, &looped_graph::cell::Window)| {
            let buffer = window.view.buffer;
            let place = crate::point::Read {
                stride: width(buffer),
                column: window.column,
                with_more: self.is_slope(buffer),
            };
            code.program.reads(i).then_some(place)
        };
        let goal = |(reg, window, add): &(usize, looped_graph::cell::Window, bool)| {
            let buffer = window.view.buffer;
            let low = rounds && self.is_operand(buffer, half);
            (*reg, Goal::Rows { stride: width(buffer), column: window.column, add: *add, low })
        };
        Text {
            name: name(node, list, index),
            width: code.results.first().map_or(0, |(_, window, _)| window.width),
            program: &code.program,
            inputs: code.inputs.iter().enumerate().map(read).collect(),
            results: code.results.iter().map(goal).collect(),
        }
        .write(text);
    }
}

/// The name of a kernel.
pub(crate) fn name(node: NodeId, list: List, index: usize) -> String {
    let list = match list {
        List::Free => "free",
        List::Recorded => "recorded",
        List::Scan => "back",
        List::Hoisted => "back_all",
    };
    format!("cell_{}_{list}_{index}", node.index())
}

/// The cells of a graph by the nodes of their recurrences, or what in them has no kernel; and this engine as steps are written for it.
#[derive(Debug)]
pub(crate) struct Cells(HashMap<NodeId, Result<Cell, String>>);

impl Cells {
    pub(crate) fn new(graph: &Graph) -> Self {
        let cell = |id: NodeId| {
            let node = graph.node(id);
            let Some(Form::Recur(cell)) = node.op().map(Op::form) else { return None };
            Some((id, CellPlan::new(cell, graph.shape(node.inputs[0]).width).map(Cell::new)))
        };
        Self(graph.ids().filter_map(cell).collect())
    }

    /// What in a recurrence's cell has no kernel, if anything.
    pub(crate) fn refusal(&self, node: NodeId) -> Option<&str> {
        self.0.get(&node)?.as_ref().err().map(String::as_str)
    }

    pub(crate) fn get(&self, node: NodeId) -> Option<&Cell> {
        self.0.get(&node)?.as_ref().ok()
    }

    /// The kernels of all cells, in the order of their nodes.
    pub(crate) fn texts(&self, rounds: bool) -> String {
        let mut all: Vec<_> =
            self.0.iter().filter_map(|(node, cell)| Some((node, cell.as_ref().ok()?))).collect();
        all.sort_by_key(|(node, _)| node.index());
        let mut text = String::new();
        all.into_iter().for_each(|(node, cell)| cell.texts(*node, rounds, &mut text));
        text
    }
}

impl Engine for Cells {
    fn recur(&self, node: NodeId, sequences: usize, tokens: usize, prefix: bool) -> Result<RecurRoom, &str> {
        match self.0.get(&node) {
            Some(Ok(cell)) => Ok(cell.steps.room(Extent { sequences, tokens, prefix })),
            Some(Err(why)) => Err(why),
            None => Err("it is no recurrence"),
        }
    }

    fn keeps(&self, form: Form<'_>) -> bool {
        matches!(form, Form::Norm(_) | Form::Point(_))
    }

    fn attention_reads_result(&self) -> bool {
        true
    }
}
