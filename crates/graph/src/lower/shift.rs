//! Rows of earlier tokens.

use super::Kernel;
use super::arena::{Buf, NOTHING};
use super::emit::Emit;
use crate::{Demand, NodeId, Wire};

impl Emit<'_> {
    pub(super) fn shift(&mut self, node: NodeId, by: usize) {
        let (out, x) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        let value = self.value_at(x, Demand::All);
        let [before, _] = self.memory_before(node);
        // Once is enough: where the rows are shifted again for the backward pass, the later tokens have theirs.
        let memory = self.leaves.get(&node).filter(|_| !self.backward).map(|memory| memory.values);
        let last = memory.map_or(NOTHING, |place| self.home(place));
        if self.rows_of(out) == Demand::All {
            let y = self.define(out);
            self.step(Kernel::Shift { by }, &[value, before, y, last]);
        } else {
            let all = self.room(out, Demand::All);
            self.step(Kernel::Shift { by }, &[value, before, all, last]);
            let y = self.define(out);
            self.step(Kernel::Gather, &[all, y]);
        }
    }

    pub(super) fn shift_back(&mut self, node: NodeId, by: usize, d: Buf) {
        let (out, x) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        if !self.wants(x) {
            return;
        }
        let d = if self.rows_of(out) == Demand::All {
            d
        } else {
            let all = self.room(out, Demand::All);
            self.step(Kernel::Scatter { add: false }, &[d, all]);
            all
        };
        let [_, dbefore] = self.memory_before(node);
        let memory = self.leaves.get(&node).map(|memory| memory.gradient);
        let dlast = memory.map_or(NOTHING, |place| self.home(place));
        self.into(x, Demand::All, |to, dx, add| {
            to.step(Kernel::ShiftBack { by, add }, &[d, dlast, dx, dbefore]);
        });
    }
}
