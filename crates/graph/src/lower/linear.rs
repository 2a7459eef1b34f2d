//! Products, with their starts and what is done to their results at once.

use super::arena::Buf;
use super::emit::Emit;
use super::units::Product;
use super::{Kernel, Start};
use crate::{Demand, Wire};

impl Emit<'_> {
    /// Whether a product has one column, whose weight is a row: then it is a dot product of each row.
    fn is_dot(product: &Product) -> bool {
        product.layer.out == 1
    }

    /// Whether a dot product picks its rows out of a value that has all.
    fn picks(&self, out: Wire, product: &Product) -> bool {
        self.rows_of(out) == Demand::Read && self.rows_of(product.x) == Demand::All
    }

    pub(super) fn product(&mut self, out: Wire, product: Product) {
        let (layer, rows) = (product.layer, self.rows_of(out));
        let (weight, exact) = (layer.weight, layer.exact);
        if Self::is_dot(&product) {
            let (x, picks) = (self.value(product.x), self.picks(out, &product));
            let y = self.define(out);
            return self.step(Kernel::Dot { weight, bias: layer.bias, picks }, &[x, y]);
        }
        let x = self.value_at(product.x, rows);
        match (layer.bias, product.residual) {
            (Some(bias), _) if product.gelu.is_some() => {
                let pre = if self.training { Some(self.room(product.own, rows)) } else { None };
                if let Some(pre) = pre {
                    self.define_as(product.own, pre);
                }
                let y = self.define(out);
                match pre {
                    Some(pre) => self.step(Kernel::ProductGelu { weight, bias, exact }, &[x, pre, y]),
                    None => self.step(Kernel::ProductGeluOnly { weight, bias, exact }, &[x, y]),
                }
            }
            (Some(bias), Some(residual)) => {
                let mut residual = self.value_at(residual, rows);
                if residual == x {
                    // A value is added to a product of its own: a step names each place once.
                    residual = self.room(out, rows);
                    self.step(Kernel::Copy, &[x, residual]);
                }
                let y = self.define(out);
                let kernel =
                    Kernel::Product { weight, exact, transposed: false, start: Start::Residual(bias) };
                self.step(kernel, &[x, residual, y]);
            }
            (bias, _) => {
                let y = self.define(out);
                let start = bias.map_or(Start::Zero, Start::Bias);
                self.step(Kernel::Product { weight, exact, transposed: false, start }, &[x, y]);
            }
        }
    }

    pub(super) fn product_back(&mut self, out: Wire, product: Product) {
        // The gradient of a product whose GELU is taken was written with respect to the product, by its GELU's one reader.
        let d = if product.gelu.is_some() { self.grads.get(&product.own) } else { self.grads.get(&out) };
        let Some(d) = d.copied() else { return };
        let (layer, rows) = (product.layer, self.rows_of(out));
        let (weight, bias, exact) = (layer.weight, layer.bias, layer.exact);
        if Self::is_dot(&product) {
            return self.dot_back(d, &product, out);
        }
        if let Some(earlier) = self.gelu_of(product.x) {
            let pre = self.value(earlier.own);
            let dpre = self.room(earlier.own, rows);
            self.step(Kernel::ProductGeluBack { weight, exact }, &[d, pre, dpre]);
            self.grads.insert(earlier.own, dpre);
            self.step(Kernel::WeightGradient { weight, out: layer.out, bias, exact }, &[d, pre]);
        } else {
            let x = self.value_at(product.x, rows);
            self.step(Kernel::WeightGradient { weight, out: layer.out, bias, exact }, &[d, x]);
            if self.wants(product.x) {
                self.into(product.x, rows, |to, dx, add| {
                    let start = if add { Start::Output } else { Start::Zero };
                    to.step(Kernel::Product { weight, exact, transposed: true, start }, &[d, dx]);
                });
            }
        }
        if let Some(residual) = product.residual.filter(|residual| self.wants(*residual)) {
            self.hand_over(d, rows, residual);
        }
    }

    fn dot_back(&mut self, d: Buf, product: &Product, out: Wire) {
        let kernel = Kernel::DotBack {
            weight: product.layer.weight,
            bias: product.layer.bias,
            picks: self.picks(out, product),
        };
        let x = self.value(product.x);
        let rows = self.rows_of(product.x);
        self.into(product.x, rows, |to, dx, add| {
            if !add {
                to.step(Kernel::Fill(0.0), &[dx]);
            }
            to.step(kernel, &[d, x, dx]);
        });
    }
}
