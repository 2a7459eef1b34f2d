//! How each recurrence of a graph is run.

use std::collections::HashMap;

use looped_graph::lower::{Engine, RecurRoom};
use looped_graph::{Form, Graph, NodeId, Op};

use crate::recur::{CellPlan, Extent};

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

    pub(crate) fn get(&self, node: NodeId) -> &CellPlan {
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
