//! The memory of a recurrence's passes, and parts of it.

use std::ops::Range;

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
    ) -> Vec<&'a mut [f32]> {
        let mut parts = Vec::with_capacity(self.0.len());
        for (i, buffer) in self.0.iter().enumerate() {
            let from = match buffer.space {
                Space::Tape => &mut tape,
                Space::Both => &mut scratch,
                other if other == space => &mut scratch,
                _ => {
                    parts.push(&mut [][..]);
                    continue;
                }
            };
            let len = self.len_of(i, of);
            let (part, rest) = std::mem::take(from).split_at_mut(len.next_multiple_of(LINE));
            *from = rest;
            parts.push(&mut part[..len]);
        }
        parts
    }

    /// The part of a buffer that a view is at a token, or at all of them.
    pub(super) fn range(&self, view: View, of: Extent, token: Option<usize>) -> Range<usize> {
        let Buffer { width, rows, .. } = self.0[view.buffer];
        let step = of.sequences * width;
        match (rows, token) {
            (Rows::One, _) => 0..width,
            (Rows::Token, _) => 0..step,
            (_, None) => 0..step * of.tokens,
            (_, Some(token)) => {
                let first = token + usize::from(view.when == When::After);
                first * step..(first + 1) * step
            }
        }
    }
}

/// Parts of several buffers at once; `wanted` is in the order of buffers and starts.
pub(super) fn parts<'b>(
    buffers: &'b mut [&mut [f32]],
    wanted: impl ExactSizeIterator<Item = (usize, Range<usize>)>,
) -> Vec<&'b mut [f32]> {
    let mut found = Vec::with_capacity(wanted.len());
    let (mut later, mut next): (&mut [&mut [f32]], usize) = (buffers, 0);
    // What is left of the buffer before `next`, from `at` on.
    let (mut rest, mut at): (&mut [f32], usize) = (&mut [], 0);
    for (buffer, range) in wanted {
        if buffer >= next {
            let (here, after) = std::mem::take(&mut later)[buffer - next..].split_at_mut(1);
            (rest, at) = (&mut *here[0], 0);
            (later, next) = (after, buffer + 1);
        }
        let (part, after) = std::mem::take(&mut rest)[range.start - at..].split_at_mut(range.len());
        (rest, at) = (after, range.end);
        found.push(part);
    }
    found
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

/// Each row's place in a prompt's and in a token's order.
fn for_rows(of: Extent, len: usize, mut act: impl FnMut(Range<usize>, Range<usize>)) {
    let rows = of.sequences * of.tokens;
    let width = len / rows.max(1);
    for batch in 0..rows {
        let time = batch % of.tokens * of.sequences + batch / of.tokens;
        act(batch * width..(batch + 1) * width, time * width..(time + 1) * width);
    }
}
