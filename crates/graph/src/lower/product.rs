//! Products with matrices that are rows, the same for all prompts.

use super::arena::Buf;
use super::emit::Emit;
use super::{Kernel, RowMatrix};
use crate::ops::Product;
use crate::{NodeId, Wire};

impl Emit<'_> {
    fn row_matrix(&self, of: Product, row: Wire) -> Option<RowMatrix> {
        self.shared(row).map(|row| RowMatrix { row, out: of.out, inputs: of.inputs })
    }

    pub(super) fn row_product(&mut self, node: NodeId, of: Product) {
        let (out, inputs) = (Wire { node, output: 0 }, self.graph().node(node).inputs.clone());
        // `Program::refusals` told of a row that lies nowhere.
        let Some(matrix) = self.row_matrix(of, inputs[1]) else { return };
        let x = self.value_at(inputs[0], self.rows_of(out));
        let y = self.define(out);
        self.step(Kernel::RowProduct { matrix, transposed: false, add: false }, &[x, y]);
    }

    pub(super) fn row_product_back(&mut self, node: NodeId, of: Product, d: Buf) {
        let (out, inputs) = (Wire { node, output: 0 }, self.graph().node(node).inputs.clone());
        let (rows, [x, row]) = (self.rows_of(out), [inputs[0], inputs[1]]);
        let Some(matrix) = self.row_matrix(of, row) else { return };
        if self.wants(row) {
            let x = self.value_at(x, rows);
            self.step(Kernel::RowGradient(matrix), &[d, x]);
        }
        if self.wants(x) {
            self.into(x, rows, |to, dx, add| {
                to.step(Kernel::RowProduct { matrix, transposed: true, add }, &[d, dx]);
            });
        }
    }
}
