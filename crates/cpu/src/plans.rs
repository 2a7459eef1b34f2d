//! How each recurrence of a graph is run.

use std::collections::HashMap;

use looped_graph::lower::{Engine, RecurRoom};
use looped_graph::{Form, Graph, NodeId, Op};

use crate::recur::{CellRun, Extent};

/// How each recurrence of a graph is run, or what in its cell has no kernel.
pub(crate) struct Plans(HashMap<NodeId, Result<CellRun, String>>);

impl Plans {
    pub(crate) fn new(graph: &Graph) -> Self {
        let plan = |id: NodeId| {
            let node = graph.node(id);
            let Some(Form::Recur(cell)) = node.op().map(Op::form) else { return None };
            Some((id, CellRun::new(cell, graph.shape(node.inputs[0]).width)))
        };
        Self(graph.ids().filter_map(plan).collect())
    }

    pub(crate) fn get(&self, node: NodeId) -> &CellRun {
        match self.0.get(&node) {
            Some(Ok(plan)) => plan,
            _ => unreachable!("a recurrence without a plan runs by its meaning"),
        }
    }
}

impl Engine for Plans {
    fn recur(&self, node: NodeId, sequences: usize, tokens: usize, prefix: bool) -> Result<RecurRoom, &str> {
        let of = Extent { sequences, tokens, prefix };
        match self.0.get(&node) {
            Some(Ok(plan)) => Ok(plan.room(of)),
            Some(Err(why)) => Err(why),
            None => Err("it is no recurrence"),
        }
    }
}
