//! The memory of a recurrence's passes, cut into its buffers.

use std::ops::Range;

use looped_graph::cell::{Buffer, Buffers, Extent, Rows, Space, View, When};
use looped_ops::Operand;

/// How a token's rows are found in a buffer.
#[derive(Clone, Copy)]
struct Lie {
    /// Floats from a token's rows to the next token's, and of a token's rows.
    step: usize,
    each: usize,
    /// Floats of all tokens' rows.
    all: usize,
}

impl Lie {
    fn new(buffer: Buffer, of: Extent) -> Self {
        let token = of.sequences * buffer.width;
        let [step, each, all] = match buffer.rows {
            Rows::One => [0, buffer.width, buffer.width],
            Rows::Token => [0, token, token],
            Rows::All | Rows::States => [token, token, token * of.tokens],
        };
        Self { step, each, all }
    }

    /// The rows that are meant at a token, or at all of them.
    fn range(&self, when: When, token: Option<usize>) -> Range<usize> {
        let Some(token) = token else { return 0..self.all };
        let first = (token + usize::from(when == When::After)) * self.step;
        first..first + self.each
    }
}

/// A pass's memory, cut into its buffers.
pub(super) struct Parts<'a> {
    /// Each buffer, as a program's operand.
    operands: Vec<Operand<'a>>,
    lies: Vec<Lie>,
}

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
        let part = |(of_tape, range): (bool, Range<usize>)| {
            if range.is_empty() {
                return Operand::Write(&mut []);
            }
            let (from, at) =
                (if of_tape { &mut tape } else { &mut scratch }, &mut taken[usize::from(of_tape)]);
            let (rows, rest) = std::mem::take(from)[range.start - *at..].split_at_mut(range.len());
            (*from, *at) = (rest, range.end);
            Operand::Write(rows)
        };
        Self {
            operands: buffers.places(of, pass).into_iter().map(part).collect(),
            lies: buffers.0.iter().map(|buffer| Lie::new(*buffer, of)).collect(),
        }
    }
}

impl<'a> Parts<'a> {
    /// All of a buffer.
    pub(super) fn whole(&mut self, buffer: usize) -> &mut [f32] {
        self.operands[buffer].written()
    }

    /// Lets two buffers of one size change places.
    pub(super) fn swap(&mut self, a: usize, b: usize) {
        self.operands.swap(a, b);
    }

    /// The rows of different buffers at a token, or at all.
    pub(super) fn at<const N: usize>(&mut self, views: [View; N], token: Option<usize>) -> [&mut [f32]; N] {
        let mut views_left = views.iter();
        match self.operands.get_disjoint_mut(views.map(|view| view.buffer)) {
            Ok(operands) => operands.map(|operand| {
                let range =
                    views_left.next().map_or(0..0, |view| self.lies[view.buffer].range(view.when, token));
                &mut operand.written()[range]
            }),
            Err(error) => panic!("a recurrence's buffers {views:?}: {error}"),
        }
    }

    /// All buffers, as a program's operands.
    pub(super) fn operands(&mut self) -> &mut [Operand<'a>] {
        &mut self.operands
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
