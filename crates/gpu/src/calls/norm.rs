//! Launches of layer norm and RMS norm.

use super::{Calls, EPS};
use crate::source::constant;
use crate::{Operation, Result, Span};

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

    /// The gradient with respect to a norm's input, with a residual's added.
    ///
    /// Sums for the weight and the bias go to `partials`
    /// (blocks, 2 width).
    ///
    /// # Errors
    /// If a place doesn't fit.
    #[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
    pub fn norm_backward(
        &self,
        dy: Span,
        x: Span,
        weight: Span,
        residual: Option<Span>,
        dx: Span,
        low: Option<Span>,
        partials: Span,
        rms: bool,
    ) -> Result<Operation> {
        let width = self.source.width;
        let rows = x.len() / width;
        let blocks = partials.len() / (2 * width);
        let call =
            self.call("norm_backward").read(dy, rows * width).read(x, rows * width).read(weight, width);
        let call = call.read_maybe(residual, rows * width).write(dx, rows * width);
        let call = call.write_stored(low, rows * width, self.run()).write(partials, blocks * 2 * width);
        call.int(rows).int(usize::from(rms)).float(EPS).launch(blocks)
    }
}
