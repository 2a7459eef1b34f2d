//! Launches of GELU, and of the way from floats to what is stored.

use super::{Argument, Calls};
use crate::{Element, Operation, Result, Span};

impl Calls {
    /// `y = gelu(x)`.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn gelu(&self, x: Span, y: Span) -> Result<Operation> {
        let count = x.len();
        let call = self.call("gelu").read_stored(x, count, 16).write_stored(Some(y), count, 16).int(count);
        call.launch(self.blocks_of_16_bytes(count))
    }

    /// `dx = dy gelu'(x)`; `dx` may be `x`.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn gelu_backward(&self, dy: Span, x: Span, dx: Span) -> Result<Operation> {
        let count = x.len();
        let call = self.call("gelu_backward").read_stored(dy, count, 16).read_stored(x, count, 16);
        call.write_stored(Some(dx), count, 16).int(count).launch(self.blocks_of_16_bytes(count))
    }

    /// `y = gelu(x)`, from floats to what is stored.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn gelu_of(&self, x: Span, y: Span) -> Result<Operation> {
        let (count, stored) = (x.len(), 4 * self.source.storage.element().bytes());
        let mut call = self.call("gelu_of");
        let span = call.check(Some(x), count, Element::F32, 16);
        call.arguments.push(Argument::Read(span));
        call.write_stored(Some(y), count, stored).int(count).launch(count.div_ceil(4).div_ceil(256))
    }

    /// `d *= gelu'(x)`, and, if `turn`, floats x become `gelu(x)`.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn gelu_turn(&self, d: Span, x: Span, turn: bool) -> Result<Operation> {
        let (count, stored) = (x.len(), 4 * self.source.storage.element().bytes());
        let mut call = self.call("gelu_turn").write_stored(Some(d), count, stored);
        let span = call.check(Some(x), count, Element::F32, 16);
        call.arguments.push(Argument::Write(span));
        call.int(usize::from(turn)).int(count).launch(count.div_ceil(4).div_ceil(256))
    }

    fn blocks_of_16_bytes(&self, count: usize) -> usize {
        count.div_ceil(16 / self.source.storage.element().bytes()).div_ceil(256)
    }

    /// Floats as stored.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn narrow(&self, from: Span, to: Span) -> Result<Operation> {
        let count = from.len();
        let call = self.call("narrow").other(from, count, Element::F32, false);
        let call = call.write_stored(Some(to), count, self.source.storage.element().bytes()).int(count);
        call.launch(count.div_ceil(256))
    }
}
