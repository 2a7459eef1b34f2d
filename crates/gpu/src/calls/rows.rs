//! Launches that move rows and columns of floats.

use super::{Builder, Calls};
use crate::{Element, Operation, Result, Span};

/// Rows of which some are read: (sequences, tokens, width), at `picks` of the tokens.
#[derive(Clone, Copy, Debug)]
pub struct Picks {
    /// Tokens of a sequence.
    pub tokens: usize,
    /// Integers: the tokens that are read, in order.
    pub reads: Span,
    /// Integers: each token's place among those, or -1.
    pub picked: Span,
}

/// Columns of rows.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// The rows.
    pub rows: Span,
    /// Numbers in a row.
    pub of: usize,
    /// The first column.
    pub from: usize,
}

/// Rows that are moved by some tokens, and those that lie before and after them.
#[derive(Clone, Copy, Debug)]
pub struct Shifted {
    /// Tokens of a sequence.
    pub tokens: usize,
    /// Numbers in a row.
    pub width: usize,
    /// By how many tokens.
    pub by: usize,
}

impl Builder {
    pub(super) fn reads(self, span: Span) -> Self {
        self.other(span, span.len(), Element::F32, false)
    }

    pub(super) fn writes(self, span: Span) -> Self {
        self.other(span, span.len(), Element::F32, true)
    }

    /// A thread for each number of a place.
    fn each(self, span: Span) -> Result<Operation> {
        self.int(span.len()).launch(span.len().div_ceil(256))
    }
}

fn int(flag: bool) -> usize {
    usize::from(flag)
}

impl Calls {
    /// `out += x`.
    ///
    /// # Errors
    /// If a place doesn't fit; so in all that follow.
    pub fn add_rows(&self, x: Span, out: Span) -> Result<Operation> {
        self.call("add_rows").other(x, out.len(), Element::F32, false).writes(out).each(out)
    }

    /// `out = x`.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn copy_rows(&self, x: Span, out: Span) -> Result<Operation> {
        self.call("copy_rows").other(x, out.len(), Element::F32, false).writes(out).each(out)
    }

    /// `out += x`, and `copy = x`.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn add_and_copy_rows(&self, x: Span, out: Span, copy: Span) -> Result<Operation> {
        let call = self.call("add_and_copy_rows").other(x, out.len(), Element::F32, false);
        call.writes(out).other(copy, out.len(), Element::F32, true).each(out)
    }

    /// `out = number`.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn fill_rows(&self, out: Span, number: f32) -> Result<Operation> {
        self.call("fill_rows").writes(out).float(number).each(out)
    }

    /// The read rows of x: out is (sequences, picks, width).
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn gather_rows(&self, x: Span, picks: Picks, out: Span, width: usize) -> Result<Operation> {
        let (count, rows) = (picks.reads.len(), out.len() / width.max(1));
        let needed = rows / count.max(1) * picks.tokens * width;
        let call = self.call("gather_rows").other(x, needed, Element::F32, false).reads(picks.reads);
        call.writes(out).int(picks.tokens).int(count).int(width).each(out)
    }

    /// The read rows of out are x, or have it added; without `add` the others become 0.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn scatter_rows(
        &self,
        x: Span,
        picks: Picks,
        out: Span,
        width: usize,
        add: bool,
    ) -> Result<Operation> {
        let count = picks.reads.len();
        let needed = out.len() / (picks.tokens * width).max(1) * count * width;
        let call = self.call("scatter_rows").other(x, needed, Element::F32, false);
        let call = call.other(picks.picked, picks.tokens, Element::F32, false).writes(out);
        call.int(picks.tokens).int(count).int(width).int(int(add)).each(out)
    }

    /// `out = x` at the tokens `from..to` of each sequence, and `lost` at the others; x may be out.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn keep_rows(
        &self,
        x: Span,
        out: Span,
        [tokens, width]: [usize; 2],
        [from, to]: [usize; 2],
        lost: f32,
    ) -> Result<Operation> {
        let call = self.call("keep_rows").other(x, out.len(), Element::F32, false).writes(out);
        call.int(tokens).int(width).int(from).int(to).float(lost).each(out)
    }

    /// Columns of `to` are those of `from`, `width` of them, or have them added.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn move_columns(
        &self,
        from: Columns,
        to: Columns,
        rows: usize,
        width: usize,
        add: bool,
    ) -> Result<Operation> {
        let end = |of: Columns| rows.saturating_sub(1) * of.of + of.from + width;
        let call = self.call("move_columns").other(from.rows, end(from), Element::F32, false);
        let call = call.other(to.rows, end(to), Element::F32, true);
        let call = call.int(from.of).int(from.from).int(to.of).int(to.from).int(width).int(int(add));
        call.int(rows * width).launch((rows * width).div_ceil(256))
    }

    /// `out` (outer, inner, width) = or += `x` (inner, outer, width).
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn order_rows(&self, x: Span, out: Span, [outer, inner]: [usize; 2], add: bool) -> Result<Operation> {
        let width = out.len() / (outer * inner).max(1);
        let mut call = self.call("order_rows").other(x, out.len(), Element::F32, false).writes(out);
        if width * outer * inner != out.len() {
            let problem = format!("{} numbers aren't {outer} times {inner} rows", out.len());
            call.problem.get_or_insert(problem);
        }
        call.int(outer).int(inner).int(width).int(int(add)).each(out)
    }

    /// Each row of out is that of some tokens before, in x or in `before`, or 0; `last` gets x's last rows.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn shift_rows(
        &self,
        of: Shifted,
        x: Span,
        before: Option<Span>,
        out: Span,
        last: Option<Span>,
    ) -> Result<Operation> {
        let [earlier, left] = [before, last].map(|span| of.tokens_of(span, out));
        let call = self.call("shift_rows").other(x, out.len(), Element::F32, false);
        let call = call.read_maybe_any(before).writes(out).write_maybe_any(last);
        call.int(of.tokens).int(of.width).int(of.by).int(earlier).int(left).each(out)
    }

    /// The gradient of [`Calls::shift_rows`] with respect to x, and, added, that with respect to `before`.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn shift_rows_backward(
        &self,
        of: Shifted,
        dout: Span,
        dlast: Option<Span>,
        dx: Span,
        dbefore: Option<Span>,
        add: bool,
    ) -> Result<Vec<Operation>> {
        let [left, earlier] = [dlast, dbefore].map(|span| of.tokens_of(span, dx));
        let call = self.call("shift_rows_backward").other(dout, dx.len(), Element::F32, false);
        let call = call.read_maybe_any(dlast).writes(dx).int(of.tokens).int(of.width).int(of.by);
        let mut all = vec![call.int(left).int(int(add)).each(dx)?];
        if let Some(dbefore) = dbefore.filter(|span| span.len() > 0) {
            let call = self.call("shift_before_backward").reads(dout).writes(dbefore);
            all.push(call.int(of.tokens).int(of.width).int(of.by).int(earlier).each(dbefore)?);
        }
        Ok(all)
    }

    /// Each row of out is the column of a table (width, entries) at one of the numbers.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn lookup_rows(&self, numbers: Span, table: Span, out: Span) -> Result<Operation> {
        let width = out.len() / numbers.len().max(1);
        let call = self.call("lookup_rows").reads(numbers).reads(table).writes(out);
        call.int(width).int(table.len() / width.max(1)).each(out)
    }

    /// The columns of `dtable` += the rows of d, each at its number.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn lookup_rows_backward(&self, numbers: Span, d: Span, dtable: Span) -> Result<Operation> {
        let width = d.len() / numbers.len().max(1);
        let call = self.call("lookup_rows_backward").reads(numbers).reads(d).writes(dtable);
        call.int(width).int(dtable.len() / width.max(1)).each(d)
    }

    /// `out = x` and the rows of a table (tokens, width), in every sequence.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn add_positions(&self, x: Span, table: Span, out: Span) -> Result<Operation> {
        let call = self.call("add_positions").other(x, out.len(), Element::F32, false).reads(table);
        call.writes(out).int(table.len()).each(out)
    }

    /// `dtable +=` the sums of d over the sequences.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn add_positions_backward(&self, d: Span, dtable: Span) -> Result<Operation> {
        let sequences = d.len() / dtable.len().max(1);
        let call = self.call("add_positions_backward").reads(d).writes(dtable);
        call.int(sequences).int(dtable.len()).launch(dtable.len().div_ceil(256))
    }

    /// The first `turned` numbers of each row, turned by their token: `turns` has cosine and sine of each position's pairs.
    ///
    /// # Errors
    /// If a place doesn't fit.
    #[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
    pub fn rotate_rows(
        &self,
        x: Span,
        turns: Span,
        out: Span,
        [tokens, width]: [usize; 2],
        [head, turned]: [usize; 2],
        first: usize,
        back: bool,
    ) -> Result<Operation> {
        let call = self.call("rotate_rows").other(x, out.len(), Element::F32, false);
        let call = call.other(turns, (first + tokens) * head, Element::F32, false).writes(out);
        call.int(tokens).int(width).int(head).int(turned).int(first).int(int(back)).each(out)
    }
}

impl Shifted {
    /// The tokens of a sequence that a place holds beside `whole`.
    fn tokens_of(self, span: Option<Span>, whole: Span) -> usize {
        let sequences = whole.len() / (self.tokens * self.width).max(1);
        span.map_or(0, |span| span.len() / (sequences * self.width).max(1))
    }
}
