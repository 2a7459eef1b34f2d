//! Recurrences of a graph, as steps of a program.

use std::collections::HashMap;

use looped_graph::lower::{Chunk, Engine, Place, RecurOf, RecurRoom};
use looped_graph::{Form, Graph, NodeId, Op};

use crate::recur::{Backward, CellPlan, Extent, Forward};
use crate::run::Run;

/// How each recurrence of a graph is run; those whose cells have something without a kernel aren't here.
pub(crate) struct Plans(HashMap<NodeId, CellPlan>);

impl Plans {
    pub(crate) fn new(graph: &Graph) -> Self {
        let plan = |id: NodeId| {
            let node = graph.node(id);
            let Some(Form::Recur(cell)) = node.op().map(Op::form) else { return None };
            let plan = CellPlan::new(cell, graph.shape(node.inputs[0]).width).ok()?;
            Some((id, plan))
        };
        Self(graph.ids().filter_map(plan).collect())
    }

    fn get(&self, node: NodeId) -> &CellPlan {
        match self.0.get(&node) {
            Some(plan) => plan,
            None => unreachable!("a recurrence without a plan runs by its meaning"),
        }
    }
}

impl Engine for Plans {
    fn recur(&self, node: NodeId, sequences: usize, tokens: usize, prefix: bool) -> Option<RecurRoom> {
        let of = Extent { sequences, tokens, prefix };
        self.0.get(&node).map(|plan| RecurRoom { tape: plan.tape_len(of), scratch: plan.scratch_len(of) })
    }
}

fn extent(chunk: &Chunk, of: &RecurOf) -> Extent {
    Extent { sequences: chunk.sequences, tokens: chunk.tokens, prefix: of.prefix }
}

impl Run<'_> {
    pub(crate) fn recur(&mut self, of: &RecurOf, places: &[Place], chunk: &Chunk, slot: usize) {
        let plan = self.weights.plans.get(of.node);
        let mut slices = self.memory.some(places, slot).into_iter();
        let mut next = || slices.next().unwrap_or_default();
        let (x, before, tape, last, scratch) = (next(), next(), next(), next(), next());
        // Scratch space holds the tape where none is kept; room for both was asked for.
        let mut outs: Vec<&mut [f32]> = slices.collect();
        let pass = Forward { x, before, last, tape, scratch, read: &of.read, outs: &mut outs };
        plan.forward(self.weights, extent(chunk, of), pass, self.scratch);
    }

    pub(crate) fn recur_back(&mut self, of: &RecurOf, places: &[Place], chunk: &Chunk, slot: usize) {
        let plan = self.weights.plans.get(of.node);
        let mut slices = self.memory.some(places, slot).into_iter();
        let mut next = || slices.next().unwrap_or_default();
        let (x, dlast, tape, dbefore, scratch, dx) = (next(), next(), next(), next(), next(), next());
        let douts: Vec<&[f32]> = slices.map(|slice| &*slice).collect();
        let read = &of.read;
        let pass = Backward { x, dlast, tape, scratch, read, douts: &douts, dbefore, dx, add: of.add };
        plan.backward(self.weights, self.grads, extent(chunk, of), pass, self.scratch);
    }
}
