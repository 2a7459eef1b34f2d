//! The memory of a recurrence's passes, and parts of it.

use std::ops::Range;

use looped_ops::Operand;

/// Chunks as a recurrence sees them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) sequences: usize,
    pub(crate) tokens: usize,
    /// Whether there are states from earlier tokens.
    pub(crate) prefix: bool,
}

/// How many rows a buffer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// One in all.
    One,
    /// One for each prompt: of the token that is being computed.
    Token,
    /// One for each token of each prompt, token by token.
    All,
    /// As many, and those before the first token: the states.
    States,
}

/// When a buffer is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// From the forward pass to the backward one.
    Tape,
    /// In the forward pass.
    Forward,
    /// In the backward pass.
    Backward,
    /// In both, filled anew.
    Both,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Buffer {
    pub(super) width: usize,
    pub(super) rows: Rows,
    pub(super) space: Space,
}

/// Which rows of a buffer, at a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum When {
    /// The token's, and of states those before it.
    Now,
    /// Of states those after the token.
    After,
}

/// Rows of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct View {
    pub(super) buffer: usize,
    pub(super) when: When,
}

/// Columns of these rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) view: View,
    pub(super) column: usize,
    pub(super) width: usize,
}

impl Window {
    pub(super) fn columns(&self) -> Range<usize> {
        self.column..self.column + self.width
    }
}

/// All buffers of a plan, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers(pub(super) Vec<Buffer>);

const LINE: usize = 16;

impl Buffers {
    pub(super) fn add(&mut self, width: usize, rows: Rows, space: Space) -> usize {
        self.0.push(Buffer { width, rows, space });
        self.0.len() - 1
    }

    fn len_of(&self, buffer: usize, of: Extent) -> usize {
        let Buffer { width, rows, .. } = self.0[buffer];
        width
            * match rows {
                Rows::One => 1,
                Rows::Token => of.sequences,
                Rows::All => of.sequences * of.tokens,
                Rows::States => of.sequences * (of.tokens + 1),
            }
    }

    /// Floats of all buffers of the given spaces.
    pub(super) fn len(&self, of: Extent, spaces: &[Space]) -> usize {
        let here = (0..self.0.len()).filter(|&i| spaces.contains(&self.0[i].space));
        here.map(|i| self.len_of(i, of).next_multiple_of(LINE)).sum()
    }

    /// Each buffer's part of the tape or the scratch space; those of other spaces are empty.
    pub(super) fn cut<'a>(
        &self,
        of: Extent,
        mut tape: &'a mut [f32],
        mut scratch: &'a mut [f32],
        space: Space,
    ) -> Parts<'a> {
        let mut parts = Vec::with_capacity(self.0.len());
        for (i, buffer) in self.0.iter().enumerate() {
            let from = match buffer.space {
                Space::Tape => &mut tape,
                Space::Both => &mut scratch,
                other if other == space => &mut scratch,
                _ => {
                    parts.push(Part::default());
                    continue;
                }
            };
            let len = self.len_of(i, of);
            let (part, rest) = std::mem::take(from).split_at_mut(len.next_multiple_of(LINE));
            *from = rest;
            parts.push(Part::new(*buffer, of, &mut part[..len]));
        }
        Parts(parts)
    }
}

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
