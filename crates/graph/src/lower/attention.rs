//! Attention, after earlier tokens or none.

use super::Kernel;
use super::arena::{Buf, NOTHING};
use super::emit::Emit;
use crate::{Demand, Heads, NodeId, Wire};

impl Emit<'_> {
    /// The buffers of what earlier tokens left at this node, and of the gradient with respect to it.
    pub(super) fn memory_before(&mut self, node: NodeId) -> [Buf; 2] {
        match self.before.get(&node).copied() {
            None => [NOTHING; 2],
            Some(memory) => [self.home(memory.values), self.home(memory.gradient)],
        }
    }

    pub(super) fn attention(&mut self, node: NodeId, heads: Heads) {
        let (out, x) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        let qkv = self.value_at(x, Demand::All);
        let [before, _] = self.memory_before(node);
        let y = self.define(out);
        let kept = self.extra(node, 0, 2 * heads.heads * self.chunk.rows());
        let kernel = Kernel::Attention { heads, prefix: self.earlier(node) };
        let all = if self.rows_of(out) == Demand::All { y } else { self.room(out, Demand::All) };
        self.step(kernel, &[qkv, before, all, kept]);
        if all != y {
            self.step(Kernel::Gather, &[all, y]);
        }
        self.extra_is(node, 1, all);
        if let Some(memory) = self.leaves.get(&node).copied() {
            let to = self.home(memory.values);
            self.step(Kernel::Copy, &[qkv, to]);
        }
    }

    /// Earlier tokens that this node sees.
    fn earlier(&self, node: NodeId) -> usize {
        if self.before.contains_key(&node) { self.chunk.first } else { 0 }
    }

    pub(super) fn attention_back(&mut self, node: NodeId, heads: Heads, d: Buf) {
        let (out, x) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        let d = if self.rows_of(out) == Demand::All {
            d
        } else {
            let all = self.room(out, Demand::All);
            self.step(Kernel::Scatter { add: false }, &[d, all]);
            all
        };
        let qkv = self.value_at(x, Demand::All);
        let kept = self.extra_of(node, 0);
        let result = self.known.engine.attention_reads_result().then(|| self.extra_of(node, 1));
        let [before, dbefore] = self.memory_before(node);
        let kernel = Kernel::AttentionBack { heads, prefix: self.earlier(node) };
        // What later tokens add to the gradient joins it here.
        let later = self.leaves.get(&node).copied();
        self.into(x, Demand::All, |to, dqkv, add| {
            let target = if add { to.room(x, Demand::All) } else { dqkv };
            let bufs = [qkv, before, kept, d, target, dbefore];
            to.step(kernel, &bufs.into_iter().chain(result).collect::<Vec<_>>());
            if add {
                to.step(Kernel::Add, &[target, dqkv]);
            }
            if let Some(memory) = later {
                let from = to.home(memory.gradient);
                to.step(Kernel::Add, &[from, dqkv]);
            }
        });
    }
}
