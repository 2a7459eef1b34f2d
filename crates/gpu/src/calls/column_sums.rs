//! Launches of sums over the rows of matrices.

use super::{Argument, Calls};
use crate::source::constant;
use crate::{Element, Error, Layout, Operation, Result, Span};

/// What is added to one place: the sums over the rows of some matrices.
#[derive(Clone, Debug)]
pub struct Totals {
    /// The place (width).
    pub goal: Span,
    /// Each matrix, from its first number that counts to its last, and how far its rows are apart. They are added in this order.
    pub parts: Vec<(Span, usize)>,
}

/// Integers of 64 bits that have to be at a place before a launch that reads them.
#[derive(Clone, Debug)]
pub struct Table {
    /// The place.
    pub at: Span,
    /// The integers.
    pub numbers: Vec<i64>,
}

impl Calls {
    /// The sums over the rows of `x` (rows, width), into `out` (width), by way of `partials`, which has room for at least
    /// one row of them.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn column_sums(&self, x: Span, partials: Span, out: Span) -> Result<[Operation; 2]> {
        let width = out.len();
        let chunks = self.chunks_of(x.len() / width.max(1), partials.len() / width.max(1));
        let partials = partials.part(0, chunks * width);
        Ok([self.partial_sums(x, partials, width)?, self.totals(partials, out)?])
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

    /// `out` (width) = the sums over the rows of `partials` (rows, width).
    fn totals(&self, partials: Span, out: Span) -> Result<Operation> {
        let width = out.len();
        let call = self.call("column_totals").reads(partials).writes(out);
        call.int(partials.len() / width.max(1)).int(width).launch(width.div_ceil(32))
    }

    /// Adds all these sums to their goals, no two of which may overlap, in one launch; the table that it goes by gets its place in `layout`.
    ///
    /// # Errors
    /// If there are no goals, or a place doesn't fit.
    pub fn add_totals(&self, all: &[Totals], layout: &mut Layout) -> Result<(Operation, Table)> {
        const KERNEL: &str = "add_column_totals";
        let wrong = |problem: &str| {
            Err(Error::Operation { operation: KERNEL.to_owned(), problem: problem.to_owned() })
        };
        let goals = || all.iter().map(|totals| totals.goal);
        let parts = || all.iter().flat_map(|totals| totals.parts.iter());
        let (Some(out), Some(partials)) =
            (Span::around(goals()), Span::around(parts().map(|(part, _)| *part)))
        else {
            return wrong("there is nothing to add");
        };
        if goals().chain(parts().map(|(part, _)| *part)).any(|span| span.element() != Element::F32) {
            return wrong("not all places hold floats");
        }
        if goals().enumerate().any(|(i, goal)| goals().skip(i + 1).any(|other| other.overlaps(goal))) {
            return wrong("two goals overlap");
        }
        let mut numbers = Vec::new();
        let mut first = 0;
        for Totals { goal, parts } in all {
            numbers.extend([goal.floats_after(out), goal.len(), first, parts.len()]);
            first += parts.len();
        }
        for Totals { goal, parts } in all {
            for (part, stride) in parts {
                if part.len() < goal.len() || *stride < goal.len() {
                    return wrong("a matrix is narrower than its goal");
                }
                let rows = (part.len() - goal.len()) / stride + 1;
                numbers.extend([part.floats_after(partials), rows, *stride]);
            }
        }
        // No memory has as many floats as a 64-bit integer counts.
        let numbers: Vec<i64> = numbers.into_iter().map(|number| number as i64).collect();
        let table = Table { at: layout.place(Element::F64, numbers.len()), numbers };
        debug_assert_eq!(
            table.numbers.len(),
            all.len() * constant("TOTALS_GOAL") as usize + first * constant("TOTALS_PART") as usize
        );
        let widest = goals().map(Span::len).max().unwrap_or(0);
        let call = self.call(KERNEL).other(table.at, table.numbers.len(), Element::F64, false);
        let call = call.reads(partials).writes(out).int(all.len());
        Ok((call.launch_plane([widest.div_ceil(32), all.len()], 0)?, table))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{Source, Storage};

    #[test]
    fn many_sums_are_refused_where_two_goals_overlap_or_a_matrix_is_too_narrow() {
        let calls = Calls { source: Source { width: 64, head: 16, storage: Storage::F32 } };
        let mut layout = Layout::default();
        let (goals, rows) = (layout.floats(20), layout.floats(60));
        let of = |start: usize, len: usize, stride: usize| Totals {
            goal: goals.part(start, len),
            parts: vec![(rows, stride)],
        };
        let mut text = |all: &[Totals]| calls.add_totals(all, &mut layout).unwrap_err().to_string();
        assert_eq!(text(&[]), "add_column_totals: there is nothing to add");
        assert_eq!(text(&[of(0, 8, 10), of(7, 3, 10)]), "add_column_totals: two goals overlap");
        let narrow = "add_column_totals: a matrix is narrower than its goal";
        assert_eq!(text(&[of(0, 12, 10)]), narrow);
        let (_, table) = calls.add_totals(&[of(4, 8, 10), of(12, 3, 20)], &mut layout).unwrap();
        assert_eq!(table.numbers, [0, 8, 0, 1, 8, 3, 1, 1, 0, 6, 10, 0, 3, 20]);
    }
}
