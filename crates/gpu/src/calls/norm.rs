//! Launches of layer norm and RMS norm.

use super::{Calls, EPS};
use crate::source::constant;
use crate::{Operation, Result, Span};

/// Places of [`Calls::norm_backward`]; those of rows are (rows, width).
#[derive(Clone, Copy, Debug)]
pub struct NormBackward {
    /// Gradient with respect to the norm's output.
    pub dy: Span,
    /// The norm's input.
    pub x: Span,
    /// The norm's weight (width).
    pub weight: Span,
    /// What is added to the gradient with respect to the input; it may be `dx`.
    pub residual: Option<Span>,
    /// Gradient with respect to the norm's input.
    pub dx: Span,
    /// The same as stored.
    pub low: Option<Span>,
    /// What that gradient is added to besides.
    pub total: Option<Span>,
    /// Sums for the weight and the bias over each block's rows (blocks, 2 width).
    pub partials: Span,
    /// Whether it is RMS norm.
    pub rms: bool,
}

impl Calls {
    /// `sum = x + residual`, `y = norm(sum) weight + bias`; without a bias it is RMS norm.
    ///
    /// # Errors
    /// If a place doesn't fit; so in all that follow.
    pub fn add_norm(
        &self,
        x: Span,
        residual: Option<Span>,
        [weight, bias]: [Option<Span>; 2],
        sum: Option<Span>,
        y: Span,
    ) -> Result<Operation> {
        let width = self.source.width;
        let rows = x.len() / width;
        let call = self.call("add_norm").read(x, rows * width).read_maybe(residual, rows * width);
        let call = call.read_maybe(weight, width).read_maybe(bias, width).write_maybe(sum, rows * width);
        let call = call.write_stored(Some(y), rows * width, self.run());
        let blocks = rows.div_ceil(constant("NORM_WARPS") as usize);
        call.int(rows).int(usize::from(bias.is_none())).float(EPS).launch(blocks)
    }

    /// `z = norm(x)`, `sum = z + residual`, `y = norm(sum)`, each norm with its weight and bias; `sum` may be x.
    ///
    /// # Errors
    /// If a place doesn't fit.
    #[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
    pub fn norm_add_norm(
        &self,
        x: Span,
        [first_weight, first_bias]: [Option<Span>; 2],
        z: Span,
        residual: Span,
        [weight, bias]: [Option<Span>; 2],
        sum: Span,
        y: Span,
    ) -> Result<Operation> {
        let width = self.source.width;
        let rows = x.len() / width;
        let call = self.call("norm_add_norm").read(x, rows * width).read_maybe(first_weight, width);
        let call = call.read_maybe(first_bias, width).write(z, rows * width).read(residual, rows * width);
        let call = call.read_maybe(weight, width).read_maybe(bias, width).write(sum, rows * width);
        let call = call.write_stored(Some(y), rows * width, self.run()).int(rows);
        let call = call.int(usize::from(first_bias.is_none())).int(usize::from(bias.is_none()));
        call.float(EPS).launch(rows.div_ceil(constant("NORM_WARPS") as usize))
    }

    /// The gradient with respect to a norm's input, of that with respect to its output, and the sums for its weight and bias.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn norm_backward(&self, of: &NormBackward) -> Result<Operation> {
        let NormBackward { dy, x, weight, residual, dx, low, total, partials, rms } = *of;
        let width = self.source.width;
        let rows = x.len() / width;
        let blocks = partials.len() / (2 * width);
        let call =
            self.call("norm_backward").read(dy, rows * width).read(x, rows * width).read(weight, width);
        let call = call.read_maybe(residual, rows * width).write(dx, rows * width);
        let call = call.write_stored(low, rows * width, self.run()).write_maybe(total, rows * width);
        let call = call.write(partials, blocks * 2 * width);
        call.int(rows).int(usize::from(rms)).float(EPS).launch(blocks)
    }
}
