//! The memory of a recurrence's passes, cut into its buffers.

use std::ops::Range;

use looped_graph::cell::{Buffer, Buffers, Extent, Rows, Space, View, When};
use looped_ops::Operand;

/// A buffer's memory, and how a token's rows are found in it.
#[derive(Default)]
struct Part<'a> {
    rows: &'a mut [f32],
    /// Floats from a token's rows to the next token's, and of a token's rows.
    step: usize,
    each: usize,
    /// Floats of all tokens' rows.
    all: usize,
}

impl<'a> Part<'a> {
    fn new(buffer: Buffer, of: Extent, rows: &'a mut [f32]) -> Self {
        let token = of.sequences * buffer.width;
        let [step, each, all] = match buffer.rows {
            Rows::One => [0, buffer.width, buffer.width],
            Rows::Token => [0, token, token],
            Rows::All | Rows::States => [token, token, token * of.tokens],
        };
        Self { rows, step, each, all }
    }

    /// The rows that are meant at a token, or at all of them.
    fn range(&self, when: When, token: Option<usize>) -> Range<usize> {
        let Some(token) = token else { return 0..self.all };
        let first = (token + usize::from(when == When::After)) * self.step;
        first..first + self.each
    }
}

/// A pass's memory, cut into its buffers.
pub(super) struct Parts<'a>(Vec<Part<'a>>);

/// Operands of a program that take no memory from the heap. A token's steps are short: one request for memory shows in their time.
const FEW: usize = 16;

impl<'a> Parts<'a> {
    /// Each buffer's part of the tape or the scratch space.
    pub(super) fn cut(
        buffers: &Buffers,
        of: Extent,
        mut tape: &'a mut [f32],
        mut scratch: &'a mut [f32],
        pass: Space,
    ) -> Self {
        let mut taken = [0, 0];
        let places = buffers.0.iter().zip(buffers.places(of, pass));
        let part = |(buffer, (of_tape, range)): (&Buffer, (bool, Range<usize>))| {
            if range.is_empty() {
                return Part::default();
            }
            let (from, at) =
                (if of_tape { &mut tape } else { &mut scratch }, &mut taken[usize::from(of_tape)]);
            let (rows, rest) = std::mem::take(from)[range.start - *at..].split_at_mut(range.len());
            (*from, *at) = (rest, range.end);
            Part::new(*buffer, of, rows)
        };
        Self(places.map(part).collect())
    }
}

impl Parts<'_> {
    /// All of a buffer.
    pub(super) fn whole(&mut self, buffer: usize) -> &mut [f32] {
        self.0[buffer].rows
    }

    /// Lets two buffers of one size change places.
    pub(super) fn swap(&mut self, a: usize, b: usize) {
        self.0.swap(a, b);
    }

    /// The rows of different buffers at a token, or at all.
    pub(super) fn at<const N: usize>(&mut self, views: [View; N], token: Option<usize>) -> [&mut [f32]; N] {
        let mut views_left = views.iter();
        match self.0.get_disjoint_mut(views.map(|view| view.buffer)) {
            Ok(parts) => parts.map(|part| {
                let when = views_left.next().map_or(When::Now, |view| view.when);
                let range = part.range(when, token);
                &mut part.rows[range]
            }),
            Err(error) => panic!("a recurrence's buffers {views:?}: {error}"),
        }
    }

    /// Calls `act` with these rows as a program's operands. `views` are in order, and of one buffer there may be several that lie apart.
    pub(super) fn operands(
        &mut self,
        views: &[View],
        token: Option<usize>,
        act: impl FnOnce(&mut [Operand<'_>]),
    ) {
        let mut few = [const { Operand::Read(&[]) }; FEW];
        let mut many = Vec::new();
        let operands = if views.len() <= FEW {
            &mut few[..views.len()]
        } else {
            many.resize_with(views.len(), || Operand::Read(&[]));
            &mut many[..]
        };
        let (mut later, mut next): (&mut [Part<'_>], usize) = (&mut self.0, 0);
        // What is left of the buffer before `next`, from `at` on.
        let mut now = (Part::default(), 0);
        for (view, operand) in views.iter().zip(&mut *operands) {
            if view.buffer >= next {
                let (here, after) = std::mem::take(&mut later)[view.buffer - next..].split_at_mut(1);
                let Part { rows, step, each, all } = &mut here[0];
                now = (Part { rows, step: *step, each: *each, all: *all }, 0);
                (later, next) = (after, view.buffer + 1);
            }
            let (part, at) = &mut now;
            let range = part.range(view.when, token);
            let (rows, after) = std::mem::take(&mut part.rows)[range.start - *at..].split_at_mut(range.len());
            (part.rows, *at) = (after, range.end);
            *operand = Operand::Write(rows);
        }
        act(operands);
    }
}

/// Copies (sequences, tokens, width) to (tokens, sequences, width).
pub(super) fn to_time_major(of: Extent, from: &[f32], to: &mut [f32]) {
    for_rows(of, from.len(), |batch, time| to[time].copy_from_slice(&from[batch]));
}

/// Copies or adds (tokens, sequences, width) to (sequences, tokens, width).
pub(super) fn to_batch_major(of: Extent, add: bool, from: &[f32], to: &mut [f32]) {
    for_rows(of, from.len(), |batch, time| {
        let (to, from) = (&mut to[batch], &from[time]);
        if add {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        } else {
            to.copy_from_slice(from);
        }
    });
}

/// Each row's place in a prompt's and in a token's order. Without a division: rows are short, and there are many.
fn for_rows(of: Extent, len: usize, mut act: impl FnMut(Range<usize>, Range<usize>)) {
    let width = len / (of.sequences * of.tokens).max(1);
    let mut batch = 0;
    for sequence in 0..of.sequences {
        let mut time = sequence * width;
        for _ in 0..of.tokens {
            act(batch..batch + width, time..time + width);
            (batch, time) = (batch + width, time + of.sequences * width);
        }
    }
}
