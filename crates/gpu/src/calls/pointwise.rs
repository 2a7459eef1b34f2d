//! Launches of GELU, of sums over rows, and of the way from floats to what is stored.

use super::{Argument, Calls};
use crate::{Element, Error, Operation, Result, Span};

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

    /// The sums over the rows of `x` (rows, width), into `out` (width), by way of `partials`, which has room for at least
    /// one row of them.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn column_sums(&self, x: Span, partials: Span, out: Span) -> Result<[Operation; 2]> {
        let width = out.len();
        let chunks = self.chunks_of(x.len() / width.max(1), partials.len() / width.max(1));
        let partials = partials.part(0, chunks * width);
        Ok([self.partial_sums(x, partials, width)?, self.totals(partials, [width, width], out, false)?])
    }

    /// How many rows of partial sums are made of so many rows, if there is room for `most`.
    #[must_use]
    pub fn chunks_of(&self, rows: usize, most: usize) -> usize {
        rows.div_ceil(rows.div_ceil(most.clamp(1, 512)).max(1))
    }

    /// Sums over parts of the rows of `x` (rows, width): partials (parts, width).
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn partial_sums(&self, x: Span, partials: Span, width: usize) -> Result<Operation> {
        let (rows, chunks) = (x.len() / width.max(1), partials.len() / width.max(1));
        let four =
            width.is_multiple_of(4) && (x.alignment() as usize).is_multiple_of(4 * x.element().bytes());
        let kernel = match (x.element() == self.source.storage.element(), four) {
            (true, true) => "column_sums",
            (true, false) => "column_sums_1",
            (false, _) => "column_sums_f32",
        };
        let mut call = self.call(kernel);
        let element = if kernel == "column_sums_f32" { Element::F32 } else { self.source.storage.element() };
        let each = if kernel == "column_sums_1" { 1 } else { 4 };
        let span = call.check(Some(x), rows * width, element, each * element.bytes());
        call.arguments.push(Argument::Read(span));
        if !width.is_multiple_of(each) {
            call.problem.get_or_insert(format!("{width} columns aren't a multiple of {each}"));
        }
        let call = call.other(partials, chunks * width, Element::F32, true);
        let per_block = rows.div_ceil(chunks.max(1));
        let grid = [width.div_ceil(32 * each), rows.div_ceil(per_block.max(1))];
        if grid[1] != chunks {
            let problem = format!("{rows} rows aren't summed in {chunks} parts");
            return Err(Error::Operation { operation: kernel.to_owned(), problem });
        }
        call.int(rows).int(width).int(per_block).launch_plane(grid, 0)
    }

    /// `out` (width) = or += the sums over the rows of partials, whose rows are `stride` apart.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn totals(
        &self,
        partials: Span,
        [width, stride]: [usize; 2],
        out: Span,
        add: bool,
    ) -> Result<Operation> {
        let rows = (partials.len() + stride - width) / stride.max(1);
        let call = self.call("column_totals").reads(partials).other(out, width, Element::F32, true);
        let call = call.int(rows).int(width).int(stride).int(usize::from(add));
        call.launch(width.div_ceil(32))
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
