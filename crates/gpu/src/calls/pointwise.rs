//! Launches of GELU, of sums over rows, and of the way from floats to what is stored.

use super::{Argument, Calls};
use crate::{Element, Operation, Result, Span, Storage};

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

    fn blocks_of_16_bytes(&self, count: usize) -> usize {
        count.div_ceil(16 / self.source.storage.element().bytes()).div_ceil(256)
    }

    /// The sums over the rows of `x` (rows, width), into `out` (width), by way of `partials`, which has room for at least
    /// one row of them. Width is a multiple of 4.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn column_sums(&self, x: Span, partials: Span, out: Span) -> Result<[Operation; 2]> {
        let width = out.len();
        let rows = x.len() / width.max(1);
        let per_block = rows.div_ceil((partials.len() / width.max(1)).clamp(1, 512)).max(1);
        let chunks = rows.div_ceil(per_block);
        let kernel = match (x.element(), self.source.storage) {
            (Element::F32, Storage::Bf16) => "column_sums_f32",
            _ => "column_sums",
        };
        let mut call = self.call(kernel);
        let element = if kernel == "column_sums" { self.source.storage.element() } else { Element::F32 };
        let span = call.check(Some(x), rows * width, element, 4 * element.bytes());
        call.arguments.push(Argument::Read(span));
        if !width.is_multiple_of(4) {
            call.problem.get_or_insert(format!("{width} columns aren't a multiple of 4"));
        }
        let call = call.other(partials, chunks * width, Element::F32, true);
        let sums = call.int(rows).int(width).int(per_block).launch_plane([width.div_ceil(128), chunks], 0)?;
        let call = self.call("column_totals").other(partials, chunks * width, Element::F32, false);
        let call = call.other(out, width, Element::F32, true).int(chunks).int(width);
        Ok([sums, call.launch(width.div_ceil(32))?])
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
