//! The scan of a state space.

use super::arena::{Buf, NOTHING};
use super::emit::Emit;
use super::{Kernel, ScanOf, Shared};
use crate::{Demand, NodeId, Param, Wire};

impl Emit<'_> {
    fn scan_of(&self, node: NodeId) -> ScanOf {
        let inputs = &self.graph().node(node).inputs;
        // `Program::new` has refused a scan whose numbers aren't parameters or made of them.
        let system = [1, 2, 3, 4].map(|i| self.shared(inputs[i]).unwrap_or(Shared::Param(Param(0))));
        let (width, states) = (self.width(inputs[0]), self.width(inputs[1]));
        ScanOf { system, states, width, prefix: self.before.contains_key(&node) }
    }

    /// One prompt's states at all tokens and before the first.
    fn states_of_one(&self, of: ScanOf) -> usize {
        (self.chunk.tokens + 1) * of.states
    }

    pub(super) fn scan(&mut self, node: NodeId) {
        let (out, x) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        let of = self.scan_of(node);
        let x = self.value_at(x, Demand::All);
        let [before, _] = self.memory_before(node);
        let last = self.leaves.get(&node).map(|memory| memory.values);
        let last = last.map_or(NOTHING, |place| self.home(place));
        let scratch = self.buffer(self.states_of_one(of));
        let y = self.define(out);
        if self.rows_of(out) == Demand::All {
            self.step(Kernel::Scan(of), &[x, before, y, last, scratch]);
        } else {
            let all = self.room(out, Demand::All);
            self.step(Kernel::Scan(of), &[x, before, all, last, scratch]);
            self.step(Kernel::Gather, &[all, y]);
        }
    }

    pub(super) fn scan_back(&mut self, node: NodeId, d: Buf) {
        let (out, x) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        let of = self.scan_of(node);
        // The kernel turns the gradient with respect to the outputs into that with respect to the inputs.
        let all = if self.rows_of(out) == Demand::All {
            d
        } else {
            let all = self.room(out, Demand::All);
            self.step(Kernel::Scatter { add: false }, &[d, all]);
            all
        };
        let value = self.value_at(x, Demand::All);
        let [before, dbefore] = self.memory_before(node);
        let later = self.leaves.get(&node).map(|memory| memory.gradient);
        let later = later.map_or(NOTHING, |place| self.home(place));
        let len = self.states_of_one(of) + of.states + self.chunk.tokens * of.width;
        let scratch = self.buffer(len.next_multiple_of(16) + 64);
        self.step(Kernel::ScanBack(of), &[value, before, later, all, dbefore, scratch]);
        if self.wants(x) {
            self.hand_over(all, Demand::All, x);
        }
    }
}
