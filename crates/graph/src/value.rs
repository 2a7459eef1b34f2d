//! The language in which parts are written.

use std::ops::{Add, Div, Mul, Neg, Range, Sub};
use std::panic::Location;
use std::sync::Arc;

use crate::ops::{self, Func};
use crate::{Heads, Linear, Norm, Op, Param, Shape, Trace, Wire};

/// Rows of numbers that will be computed when the graph is run.
///
/// It is a handle: copying it copies nothing. A value of one row ([`Rows::Once`](crate::Rows::Once)) meets each row of another in `+`, `-`, `*` and `/`.
#[derive(Clone, Copy, Debug)]
pub struct Value<'t> {
    trace: &'t Trace,
    wire: Wire,
}

impl<'t> Value<'t> {
    pub(crate) const fn new(trace: &'t Trace, wire: Wire) -> Self {
        Self { trace, wire }
    }

    pub(crate) const fn trace(self) -> &'t Trace {
        self.trace
    }

    /// Where it is in the graph.
    #[must_use]
    pub const fn wire(self) -> Wire {
        self.wire
    }

    /// Its shape; rows of 0 numbers after a mistake.
    #[must_use]
    pub fn shape(self) -> Shape {
        self.trace.shape(self.wire)
    }

    /// Numbers in a row.
    #[must_use]
    pub fn width(self) -> usize {
        self.shape().width
    }

    #[track_caller]
    fn by(self, op: impl Op) -> Self {
        self.trace.op(op, &[self])
    }

    #[track_caller]
    fn point(self, func: Func) -> Self {
        self.by(ops::Point(func))
    }

    #[track_caller]
    fn with(self, func: Func, other: Self) -> Self {
        self.trace.op(ops::Point(func), &[self, other])
    }

    /// x W^T + b.
    #[must_use]
    #[track_caller]
    pub fn linear(self, layer: &Linear) -> Self {
        self.by(ops::LinearOp::new(self.trace, *layer))
    }

    /// x W^T, where W is a row that is the same for all prompts: (out, width), row-major. It may be another one in each loop
    /// ([`At::by_loop`](crate::At::by_loop)).
    #[must_use]
    #[track_caller]
    pub fn product(self, matrix: Self, out: usize) -> Self {
        self.trace.op(ops::Product { out, inputs: self.width() }, &[self, matrix])
    }

    /// A layer norm or a root-mean-square norm.
    #[must_use]
    #[track_caller]
    pub fn norm(self, norm: &Norm) -> Self {
        self.by(ops::NormOp::new(self.trace, *norm))
    }

    /// Softmax attention; a row holds queries, keys and values, each of a third.
    #[must_use]
    #[track_caller]
    pub fn attention(self, heads: Heads) -> Self {
        self.by(ops::Attention::new(heads))
    }

    /// The hidden states of a recurrence over the tokens, from 0 on: `cell` gives the next states from a token's row and the last states, each as
    /// wide as `widths` says.
    ///
    /// The cell is recorded like everything else, from row-wise operations. What in it doesn't see a state is computed for all tokens at once.
    #[must_use]
    #[track_caller]
    pub fn recur<const N: usize>(
        self,
        widths: [usize; N],
        cell: impl for<'c> FnOnce(Value<'c>, [Value<'c>; N]) -> [Value<'c>; N],
    ) -> [Self; N] {
        match ops::Recur::record(self.trace, self.shape(), widths, cell) {
            Ok(op) => self.trace.op_many(op, &[self]),
            Err(error) => {
                self.trace.fail(format!("recur: {}", error.what), error.at);
                [Self::new(self.trace, crate::trace::NOTHING); N]
            }
        }
    }

    /// The scan of a diagonal state space over the tokens: with a state for each of `n` numbers of a channel, h = decay h + gain x, and
    /// the output is the sum of read h, plus skip x. `decay`, `gain` and `read` are (n, width) in one row, `skip` is (width).
    #[must_use]
    #[track_caller]
    pub fn scan(self, decay: Self, gain: Self, read: Self, skip: Self) -> Self {
        self.trace.op(ops::Scan, &[self, decay, gain, read, skip])
    }

    /// The entry of `table`, (width, entries), that each token is the number of: the input as it is given, of prompts that are
    /// tokens. It is a linear layer of a row that is 1 at the token's number and 0 elsewhere, and the table is that layer's weight.
    #[must_use]
    #[track_caller]
    pub fn lookup(self, table: Param) -> Self {
        if !self.trace.is_input(self.wire) && self.width() > 0 {
            self.trace.fail("lookup takes the input as it is given".to_owned(), Location::caller());
        }
        self.by(ops::Lookup::new(self.trace, table))
    }

    /// Adds to each token its position's row of `table`, (positions, width).
    #[must_use]
    #[track_caller]
    pub fn positions(self, table: Param) -> Self {
        self.by(ops::Positions::new(self.trace, table))
    }

    /// Turns neighbouring pairs of each head's numbers by the token's position (rotary positions; Su et al., arXiv 2104.09864), in the first `parts`
    /// parts of the row, each as wide as the row's width over `of`: 2 of 3 for queries and keys.
    #[must_use]
    #[track_caller]
    pub fn rotary(self, heads: usize, parts: usize, of: usize) -> Self {
        self.by(ops::Rotary { heads, parts, of })
    }

    /// The rows of the last `n` tokens; those before them are all `lost`.
    #[must_use]
    #[track_caller]
    pub fn keep_last(self, n: usize, lost: f32) -> Self {
        self.by(ops::Keep::last(n, lost))
    }

    /// The rows of the first `n` tokens; those after them are all `lost`.
    #[must_use]
    #[track_caller]
    pub fn keep_first(self, n: usize, lost: f32) -> Self {
        self.by(ops::Keep::first(n, lost))
    }

    /// Rows of the same shape, filled with a number.
    #[must_use]
    #[track_caller]
    pub fn like(self, number: f32) -> Self {
        self.trace.op(ops::Fill { shape: self.shape(), number }, &[])
    }

    /// Columns of each row.
    #[must_use]
    #[track_caller]
    pub fn columns(self, range: Range<usize>) -> Self {
        self.by(ops::Columns(range))
    }

    /// `N` parts of each row, of equal width.
    #[must_use]
    #[track_caller]
    pub fn split<const N: usize>(self) -> [Self; N] {
        let (width, at) = (self.width(), Location::caller());
        if !width.is_multiple_of(N.max(1)) {
            self.trace.fail(format!("split of {}: {N} parts don't have equal widths", self.shape()), at);
        }
        let part = width / N.max(1);
        std::array::from_fn(|i| self.columns(i * part..(i + 1) * part))
    }

    /// The rows of several values side by side.
    #[must_use]
    #[track_caller]
    pub fn concat(parts: &[Self]) -> Self {
        assert!(!parts.is_empty(), "concat of nothing");
        parts[0].trace.op(ops::Concat, parts)
    }

    /// Any code over candle tensors, on this value and others; the result is shaped as this value. Every engine runs it, the fast ones
    /// slowly and with a word about it, and candle gives the gradient. Shapes as in [`Op::meaning`].
    #[must_use]
    #[track_caller]
    pub fn candle(
        self,
        name: &str,
        others: &[Self],
        function: impl Fn(&[candle_core::Tensor]) -> candle_core::Result<candle_core::Tensor>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let inputs: Vec<Self> = std::iter::once(self).chain(others.iter().copied()).collect();
        self.trace.op(ops::CustomOp(Arc::new(ops::Candle::new(name, function))), &inputs)
    }

    /// The results of an operation of an author's own on these values, at least one.
    #[must_use]
    #[track_caller]
    pub fn custom<const N: usize>(op: impl ops::Custom, inputs: &[Self]) -> [Self; N] {
        assert!(!inputs.is_empty(), "a custom operation on nothing");
        inputs[0].trace.op_many(ops::CustomOp(Arc::new(op)), inputs)
    }

    /// Rows of the tokens before: row t becomes row t - `by`, and the first `by` rows are 0.
    #[must_use]
    #[track_caller]
    pub fn shift(self, by: usize) -> Self {
        self.by(ops::Shift(by))
    }

    /// The same numbers, through which no gradient goes.
    #[must_use]
    #[track_caller]
    pub fn stop_gradient(self) -> Self {
        self.by(ops::StopGradient)
    }

    /// Gives it a name under which any engine returns it.
    #[must_use]
    #[track_caller]
    pub fn probe(self, name: &str) -> Self {
        // A name belongs to a node, and so to its first result.
        let named = if self.wire.output == 0 { self } else { self.columns(0..self.width()) };
        self.trace.set_probe(named.wire, name);
        named
    }

    /// GELU in its tanh form.
    #[must_use]
    #[track_caller]
    pub fn gelu(self) -> Self {
        self.point(Func::Gelu)
    }

    /// x sigmoid(x).
    #[must_use]
    #[track_caller]
    pub fn silu(self) -> Self {
        self * self.sigmoid()
    }

    /// max(x, 0).
    #[must_use]
    #[track_caller]
    pub fn relu(self) -> Self {
        self.point(Func::Relu)
    }

    /// 1 / (1 + e^-x).
    #[must_use]
    #[track_caller]
    pub fn sigmoid(self) -> Self {
        self.point(Func::Sigmoid)
    }

    /// Hyperbolic tangent.
    #[must_use]
    #[track_caller]
    pub fn tanh(self) -> Self {
        self.point(Func::Tanh)
    }

    /// e^x.
    #[must_use]
    #[track_caller]
    pub fn exp(self) -> Self {
        self.point(Func::Exp)
    }

    /// Natural logarithm.
    #[must_use]
    #[track_caller]
    pub fn log(self) -> Self {
        self.point(Func::Log)
    }

    /// Square root.
    #[must_use]
    #[track_caller]
    pub fn sqrt(self) -> Self {
        self.point(Func::Sqrt)
    }

    /// x x.
    #[must_use]
    #[track_caller]
    pub fn square(self) -> Self {
        self * self
    }
}

macro_rules! binary {
    ($trait:ident, $method:ident, $func:expr, $scalar:expr) => {
        impl<'t> $trait for Value<'t> {
            type Output = Value<'t>;
            #[track_caller]
            fn $method(self, other: Value<'t>) -> Value<'t> {
                self.with($func, other)
            }
        }

        impl<'t> $trait<f32> for Value<'t> {
            type Output = Value<'t>;
            #[track_caller]
            fn $method(self, number: f32) -> Value<'t> {
                let func: fn(f32) -> Func = $scalar;
                self.point(func(number))
            }
        }
    };
}

binary!(Add, add, Func::Add, Func::Offset);
binary!(Sub, sub, Func::Sub, |number| Func::Offset(-number));
binary!(Mul, mul, Func::Mul, Func::Scale);
binary!(Div, div, Func::Div, |number| Func::Scale(1.0 / number));

impl<'t> Neg for Value<'t> {
    type Output = Value<'t>;
    #[track_caller]
    fn neg(self) -> Value<'t> {
        self.point(Func::Scale(-1.0))
    }
}
