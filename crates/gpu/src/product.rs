//! Products of matrices: what is meant, row by row, and how cuBLASLt, which thinks in columns, is asked for it.

use crate::{Element, Span};

/// How the products' arithmetic is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Math {
    /// Floats throughout.
    F32,
    /// Floats, whose mantissas are cut to 10 bits on the way into the tensor cores.
    Tf32,
    /// Operands in bf16, sums in floats.
    Bf16,
}

impl Math {
    /// How its operands are kept.
    #[must_use]
    pub const fn operands(self) -> Element {
        match self {
            Self::F32 | Self::Tf32 => Element::F32,
            Self::Bf16 => Element::Bf16,
        }
    }
}

/// The three products of a linear layer y = x w^T + b, with x (rows, inputs), w (outputs, inputs), y (rows, outputs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// y = x w^T, and the bias.
    Forward,
    /// dx = dy w.
    Input,
    /// dw = dy^T x.
    Weight,
}

/// One product: `out = left . right + bias + start`.
///
/// | form | left | right | out |
/// | --- | --- | --- | --- |
/// | forward | x (rows, inputs) | w (outputs, inputs) | y (rows, outputs) |
/// | input | dy (rows, outputs) | w (outputs, inputs) | dx (rows, inputs) |
/// | weight | dy (rows, outputs) | x (rows, inputs) | dw (outputs, inputs) |
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Which of a layer's products.
    pub form: Form,
    /// The arithmetic.
    pub math: Math,
    /// Rows of x and y.
    pub rows: usize,
    /// Columns of y.
    pub outputs: usize,
    /// Columns of x.
    pub inputs: usize,
    /// The first operand.
    pub left: Span,
    /// The second.
    pub right: Span,
    /// Added to every row, if there.
    pub bias: Option<Span>,
    /// Added to the product, if there: of the same shape and element as `out`, and possibly the same place.
    pub start: Option<Span>,
    /// The result.
    pub out: Span,
}

/// A product as cuBLASLt is asked for it: out (m, n) = first (m, k) . second (k, n), all column by column, where `lda` and
/// such are the distances of columns and a transposed operand is stored with its sides swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Columns {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) transposed: [bool; 2],
    pub(crate) lda: usize,
    pub(crate) ldb: usize,
    pub(crate) ldc: usize,
    /// Whether the first operand is the product's right.
    pub(crate) swapped: bool,
}

impl Product {
    /// What profiles call it.
    #[must_use]
    pub fn name(&self) -> String {
        let form = match self.form {
            Form::Forward => "forward",
            Form::Input => "by input",
            Form::Weight => "by weight",
        };
        format!("product {form} {} x {} x {}", self.rows, self.outputs, self.inputs)
    }

    /// A matrix by rows is its transpose by columns, so what is asked for is the transposed product.
    pub(crate) const fn columns(&self) -> Columns {
        let (rows, outputs, inputs) = (self.rows, self.outputs, self.inputs);
        match self.form {
            // y^T (outputs, rows) = w . x^T; w by rows is w^T (inputs, outputs) by columns.
            Form::Forward => Columns {
                m: outputs,
                n: rows,
                k: inputs,
                transposed: [true, false],
                lda: inputs,
                ldb: inputs,
                ldc: outputs,
                swapped: true,
            },
            // dx^T (inputs, rows) = w^T . dy^T.
            Form::Input => Columns {
                m: inputs,
                n: rows,
                k: outputs,
                transposed: [false, false],
                lda: inputs,
                ldb: outputs,
                ldc: inputs,
                swapped: true,
            },
            // dw^T (inputs, outputs) = x^T . dy.
            Form::Weight => Columns {
                m: inputs,
                n: outputs,
                k: rows,
                transposed: [false, true],
                lda: inputs,
                ldb: outputs,
                ldc: inputs,
                swapped: true,
            },
        }
    }

    /// What is wrong with its places, if anything is.
    pub(crate) fn problem(&self) -> Option<String> {
        let (x, w, y) = (self.rows * self.inputs, self.outputs * self.inputs, self.rows * self.outputs);
        let [left, right, out] = match self.form {
            Form::Forward => [x, w, y],
            Form::Input => [y, w, x],
            Form::Weight => [y, x, w],
        };
        let operand = self.math.operands();
        let is = |span: Span, len: usize| span.len() == len;
        if [self.rows, self.inputs, self.outputs].contains(&0) {
            return Some("a side is 0".to_owned());
        }
        if !is(self.left, left) || !is(self.right, right) || !is(self.out, out) {
            let lens = [self.left, self.right, self.out].map(Span::len);
            return Some(format!("places of {lens:?} elements where [{left}, {right}, {out}] are needed"));
        }
        if self.left.element() != operand || self.right.element() != operand {
            return Some(format!("operands that aren't {operand:?}"));
        }
        if !matches!(self.out.element(), Element::F32) && self.out.element() != operand {
            return Some(format!("a result in {:?}", self.out.element()));
        }
        match (self.bias, self.start) {
            (Some(_), _) if self.form != Form::Forward => {
                Some("a bias that isn't a forward product's".to_owned())
            }
            (Some(bias), _) if !is(bias, self.outputs) || bias.element() != self.out.element() => {
                Some("a bias of another length or element than the result's rows".to_owned())
            }
            (_, Some(start)) if !is(start, out) || start.element() != self.out.element() => {
                Some("a start of another shape or element than the result".to_owned())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layout;

    fn product(form: Form, layout: &mut Layout) -> Product {
        let (rows, outputs, inputs) = (5, 3, 4);
        let (x, w, y) = (rows * inputs, outputs * inputs, rows * outputs);
        let [left, right, out] = match form {
            Form::Forward => [x, w, y],
            Form::Input => [y, w, x],
            Form::Weight => [y, x, w],
        }
        .map(|len| layout.floats(len));
        Product { form, math: Math::F32, rows, outputs, inputs, left, right, bias: None, start: None, out }
    }

    /// What a BLAS does: everything by columns.
    fn by_columns(c: Columns, a: &[i64], b: &[i64]) -> Vec<i64> {
        let mut out = vec![0; c.ldc * c.n];
        for i in 0..c.m {
            for j in 0..c.n {
                out[j * c.ldc + i] = (0..c.k)
                    .map(|k| {
                        let a = if c.transposed[0] { a[i * c.lda + k] } else { a[k * c.lda + i] };
                        let b = if c.transposed[1] { b[k * c.ldb + j] } else { b[j * c.ldb + k] };
                        a * b
                    })
                    .sum();
            }
        }
        out
    }

    #[test]
    fn what_is_asked_by_columns_is_what_is_meant_by_rows() {
        for form in [Form::Forward, Form::Input, Form::Weight] {
            let p = product(form, &mut Layout::default());
            let left: Vec<i64> = (0..p.left.len() as i64).map(|i| i * i % 7 - 3).collect();
            let right: Vec<i64> = (0..p.right.len() as i64).map(|i| i * 5 % 11 - 4).collect();
            let c = p.columns();
            let got = if c.swapped { by_columns(c, &right, &left) } else { by_columns(c, &left, &right) };
            let (rows, outputs, inputs) = (p.rows, p.outputs, p.inputs);
            let mut want = vec![0; p.out.len()];
            for r in 0..rows {
                for o in 0..outputs {
                    for i in 0..inputs {
                        match form {
                            Form::Forward => {
                                want[r * outputs + o] += left[r * inputs + i] * right[o * inputs + i]
                            }
                            Form::Input => {
                                want[r * inputs + i] += left[r * outputs + o] * right[o * inputs + i]
                            }
                            Form::Weight => {
                                want[o * inputs + i] += left[r * outputs + o] * right[r * inputs + i]
                            }
                        }
                    }
                }
            }
            assert_eq!(got, want, "{form:?}");
            assert_eq!(p.problem(), None);
        }
    }

    #[test]
    fn places_that_do_not_fit_are_told() {
        let mut layout = Layout::default();
        let good = product(Form::Forward, &mut layout);
        let bf16 = layout.place(Element::Bf16, good.out.len());
        let line = layout.floats(good.outputs);
        for bad in [
            Product { rows: 6, ..good },
            Product { rows: 0, ..good },
            Product { math: Math::Bf16, ..good },
            Product { out: bf16, ..good },
            Product { start: Some(bf16), ..good },
            Product { bias: Some(good.out), ..good },
            Product { form: Form::Weight, bias: Some(line), ..product(Form::Weight, &mut layout) },
        ] {
            assert!(bad.problem().is_some(), "{bad:?}");
        }
        assert_eq!(Product { bias: Some(line), start: Some(good.out), ..good }.problem(), None);
    }
}
