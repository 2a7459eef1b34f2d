//! Recurrences.

use super::arena::{Buf, NOTHING};
use super::emit::Emit;
use super::{Kernel, RecurOf};
use crate::{Demand, NodeId, Wire};

impl Emit<'_> {
    /// Which of a recurrence's states anything reads.
    fn states_read(&self, node: NodeId) -> Vec<usize> {
        let graph = self.graph();
        let inner = graph.nodes().iter().flat_map(|node| node.inputs.clone());
        let wires: Vec<Wire> = inner.chain(graph.ends()).collect();
        let count = graph.node(node).shapes.len();
        (0..count).filter(|&output| wires.contains(&Wire { node, output })).collect()
    }

    pub(super) fn recur(&mut self, node: NodeId) {
        let x = self.graph().node(node).inputs[0];
        let prefix = self.before.contains_key(&node);
        let room = self.known.recur_room(node, self.chunk, prefix);
        let value = self.value_at(x, Demand::All);
        let [before, _] = self.memory_before(node);
        let tape = if self.training { self.extra(node, 0, room.tape) } else { NOTHING };
        let last = self.leaves.get(&node).map(|memory| memory.values);
        let last = last.map_or(NOTHING, |place| self.home(place));
        let scratch = self.buffer(room.scratch);
        let mut bufs = vec![value, before, tape, last, scratch];
        let (read, mut gathers) = (self.states_read(node), Vec::new());
        for &output in &read {
            let wire = Wire { node, output };
            if self.rows_of(wire) == Demand::All {
                bufs.push(self.define(wire));
            } else {
                let all = self.room(wire, Demand::All);
                bufs.push(all);
                gathers.push((all, self.define(wire)));
            }
        }
        self.step(Kernel::Recur(RecurOf { node, read, prefix, add: false }), &bufs);
        for (all, some) in gathers {
            self.step(Kernel::Gather, &[all, some]);
        }
    }

    pub(super) fn recur_back(&mut self, node: NodeId) {
        let x = self.graph().node(node).inputs[0];
        let prefix = self.before.contains_key(&node);
        let room = self.known.recur_room(node, self.chunk, prefix);
        let later = self.leaves.get(&node).map(|memory| memory.gradient);
        let (mut read, mut slopes): (Vec<usize>, Vec<Buf>) = (Vec::new(), Vec::new());
        for output in self.states_read(node) {
            let wire = Wire { node, output };
            let Some(d) = self.grads.get(&wire).copied() else { continue };
            read.push(output);
            slopes.push(if self.rows_of(wire) == Demand::All {
                d
            } else {
                let all = self.room(wire, Demand::All);
                self.step(Kernel::Scatter { add: false }, &[d, all]);
                all
            });
        }
        if read.is_empty() && later.is_none() {
            return;
        }
        let value = self.value_at(x, Demand::All);
        let tape = self.extra_of(node, 0);
        let [_, dbefore] = self.memory_before(node);
        let dlast = later.map_or(NOTHING, |place| self.home(place));
        let scratch = self.buffer(room.scratch);
        self.into(x, Demand::All, |to, dx, add| {
            let mut bufs = vec![value, dlast, tape, dbefore, scratch, dx];
            bufs.extend(slopes);
            to.step(Kernel::RecurBack(RecurOf { node, read, prefix, add }), &bufs);
        });
    }
}
