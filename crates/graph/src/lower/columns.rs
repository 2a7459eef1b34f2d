//! Columns of rows, and rows side by side.
//!
//! An elementwise program reads and writes columns where they are. These steps are for all other readers.

use super::Kernel;
use super::arena::Buf;
use super::emit::Emit;
use crate::{NodeId, Wire};

impl Emit<'_> {
    pub(super) fn columns(&mut self, node: NodeId, start: usize) {
        let (out, x) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        let of = self.width(x);
        let x = self.value_at(x, self.rows_of(out));
        let y = self.define(out);
        self.step(Kernel::TakeColumns { start, of, add: false }, &[x, y]);
    }

    pub(super) fn columns_back(&mut self, node: NodeId, start: usize, d: Buf) {
        let (out, x) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        if !self.wants(x) {
            return;
        }
        let (rows, of) = (self.rows_of(out), self.width(x));
        self.into(x, rows, |to, dx, add| {
            if !add {
                to.step(Kernel::Fill(0.0), &[dx]);
            }
            to.step(Kernel::PutColumns { start, of, add: true }, &[d, dx]);
        });
    }

    pub(super) fn concat(&mut self, node: NodeId) {
        let out = Wire { node, output: 0 };
        let (y, of) = (self.define(out), self.width(out));
        let mut start = 0;
        for x in self.graph().node(node).inputs.clone() {
            let part = self.value_at(x, self.rows_of(out));
            self.step(Kernel::PutColumns { start, of, add: false }, &[part, y]);
            start += self.width(x);
        }
    }

    pub(super) fn concat_back(&mut self, node: NodeId, d: Buf) {
        let out = Wire { node, output: 0 };
        let (rows, of) = (self.rows_of(out), self.width(out));
        let mut start = 0;
        for x in self.graph().node(node).inputs.clone() {
            if self.wants(x) {
                self.into(x, rows, |to, dx, add| to.step(Kernel::TakeColumns { start, of, add }, &[d, dx]));
            }
            start += self.width(x);
        }
    }
}
