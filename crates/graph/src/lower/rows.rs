//! Rows that are kept, lost, filled, or found by their token or its position.

use super::Kernel;
use super::arena::Buf;
use super::emit::Emit;
use crate::ops::{Keep, Rotary};
use crate::{Demand, NodeId, Param, Wire};

/// What a [`Keep`] does to the tokens of a chunk.
enum Kept {
    All,
    None,
    /// From the first to the second, counted from the chunk's first token.
    Some(usize, usize),
}

impl Emit<'_> {
    fn kept(&self, keep: Keep) -> Kept {
        let (first, end) = (self.chunk.first, self.chunk.first + self.chunk.tokens);
        let (from, to) = keep.kept(self.known.tokens);
        let (from, to) = (from.clamp(first, end), to.clamp(first, end));
        match (from < to, to - from == self.chunk.tokens) {
            (false, _) => Kept::None,
            (_, true) => Kept::All,
            _ => Kept::Some(from - first, to - first),
        }
    }

    pub(super) fn fill(&mut self, node: NodeId, number: f32) {
        let y = self.define(Wire { node, output: 0 });
        self.step(Kernel::Fill(number), &[y]);
    }

    /// The node's value is its input's.
    pub(super) fn alias(&mut self, node: NodeId) {
        let out = Wire { node, output: 0 };
        let x = self.graph().node(node).inputs[0];
        let buf = self.value_at(x, self.rows_of(out));
        self.define_as(out, buf);
    }

    pub(super) fn keep(&mut self, node: NodeId, keep: Keep) {
        let (out, x) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        match self.kept(keep) {
            Kept::All => self.alias(node),
            Kept::None => self.fill(node, keep.lost),
            Kept::Some(from, to) => {
                let x = self.value_at(x, Demand::All);
                let all = self.room(out, Demand::All);
                self.step(Kernel::Keep { from, to, lost: keep.lost }, &[x, all]);
                if self.rows_of(out) == Demand::All {
                    self.define_as(out, all);
                } else {
                    let y = self.define(out);
                    self.step(Kernel::Gather, &[all, y]);
                }
            }
        }
    }

    pub(super) fn keep_back(&mut self, node: NodeId, keep: Keep, d: Buf) {
        let (out, x) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        let rows = self.rows_of(out);
        match self.kept(keep) {
            Kept::None => {}
            Kept::All => self.hand_over(d, rows, x),
            Kept::Some(from, to) => {
                let d = if rows == Demand::All {
                    d
                } else {
                    let all = self.room(out, Demand::All);
                    self.step(Kernel::Scatter { add: false }, &[d, all]);
                    all
                };
                self.step(Kernel::Lose { from, to }, &[d]);
                self.hand_over(d, Demand::All, x);
            }
        }
    }

    pub(super) fn lookup(&mut self, node: NodeId, table: Param) {
        let (out, numbers) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        let numbers = self.value_at(numbers, self.rows_of(out));
        let y = self.define(out);
        self.step(Kernel::Lookup(table), &[numbers, y]);
    }

    pub(super) fn lookup_back(&mut self, node: NodeId, table: Param, d: Buf) {
        let (out, numbers) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        let numbers = self.value_at(numbers, self.rows_of(out));
        self.step(Kernel::LookupBack(table), &[numbers, d]);
    }

    pub(super) fn positions(&mut self, node: NodeId, table: Param) {
        let (out, x) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        let x = self.value_at(x, Demand::All);
        let all = self.room(out, Demand::All);
        self.step(Kernel::Positions(table), &[x, all]);
        if self.rows_of(out) == Demand::All {
            self.define_as(out, all);
        } else {
            let y = self.define(out);
            self.step(Kernel::Gather, &[all, y]);
        }
    }

    pub(super) fn positions_back(&mut self, node: NodeId, table: Param, d: Buf) {
        let (out, x) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        let rows = self.rows_of(out);
        let d = if rows == Demand::All {
            d
        } else {
            let all = self.room(out, Demand::All);
            self.step(Kernel::Scatter { add: false }, &[d, all]);
            all
        };
        self.step(Kernel::PositionsBack(table), &[d]);
        if self.wants(x) {
            self.hand_over(d, Demand::All, x);
        }
    }

    pub(super) fn rotary(&mut self, node: NodeId, rotary: Rotary) {
        let (out, x) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        let x = self.value_at(x, Demand::All);
        let all = self.room(out, Demand::All);
        self.step(Kernel::Rotary { rotary, back: false }, &[x, all]);
        if self.rows_of(out) == Demand::All {
            self.define_as(out, all);
        } else {
            let y = self.define(out);
            self.step(Kernel::Gather, &[all, y]);
        }
    }

    pub(super) fn rotary_back(&mut self, node: NodeId, rotary: Rotary, d: Buf) {
        let (out, x) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        let d = if self.rows_of(out) == Demand::All {
            d
        } else {
            let all = self.room(out, Demand::All);
            self.step(Kernel::Scatter { add: false }, &[d, all]);
            all
        };
        let turned = self.room(out, Demand::All);
        self.step(Kernel::Rotary { rotary, back: true }, &[d, turned]);
        self.hand_over(turned, Demand::All, x);
    }
}
