//! Norms.

use super::Kernel;
use super::arena::Buf;
use super::emit::Emit;
use crate::{NodeId, Norm, Wire};

impl Emit<'_> {
    pub(super) fn norm(&mut self, node: NodeId, norm: Norm) {
        let (out, x) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        let rows = self.rows_of(out);
        let x = self.value_at(x, rows);
        let y = self.define(out);
        let each = self.rows(rows) * norm.groups;
        let (mean, inverse) = (self.extra(node, 0, each), self.extra(node, 1, each));
        self.step(Kernel::Norm(norm), &[x, y, mean, inverse]);
    }

    pub(super) fn norm_back(&mut self, node: NodeId, norm: Norm, d: Buf) {
        let (out, x) = (Wire { node, output: 0 }, self.graph().node(node).inputs[0]);
        let rows = self.rows_of(out);
        // Mean and deviation are computed again, and the result with them.
        let (mean, inverse) = (self.extra_of(node, 0), self.extra_of(node, 1));
        let value = self.value_at(x, rows);
        self.into(x, rows, |to, dx, add| {
            to.step(Kernel::NormBack { norm, add }, &[d, value, mean, inverse, dx]);
        });
    }
}
