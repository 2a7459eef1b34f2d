//! What the passes of a recurrence keep in memory, and parts of it.

use std::ops::Range;

/// Chunks as a recurrence sees them.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Prompts.
    pub sequences: usize,
    /// Tokens of each.
    pub tokens: usize,
    /// Whether there are states from earlier tokens.
    pub prefix: bool,
}

/// How many rows a buffer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
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
pub enum Space {
    /// From the forward pass to the backward one.
    Tape,
    /// In the forward pass.
    Forward,
    /// In the backward pass.
    Backward,
    /// In both, filled anew.
    Both,
}

/// Rows of one width.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// Numbers in a row.
    pub width: usize,
    /// How many rows.
    pub rows: Rows,
    /// When it is needed.
    pub space: Space,
}

/// Which rows of a buffer, at a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// The token's, and of states those before it.
    Now,
    /// Of states those after the token.
    After,
}

/// Rows of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct View {
    /// The buffer's number.
    pub buffer: usize,
    /// Which of its rows.
    pub when: When,
}

impl View {
    /// The rows of a buffer at a token.
    #[must_use]
    pub const fn now(buffer: usize) -> Self {
        Self { buffer, when: When::Now }
    }
}

/// Columns of these rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The rows.
    pub view: View,
    /// The first column.
    pub column: usize,
    /// How many.
    pub width: usize,
}

impl Window {
    pub(crate) fn columns(&self) -> Range<usize> {
        self.column..self.column + self.width
    }
}

/// All buffers of a plan, by number.
#[derive(Clone, Debug, Default)]
pub struct Buffers(pub Vec<Buffer>);

/// Each buffer starts at a multiple of so many floats.
const LINE: usize = 16;

impl Buffers {
    pub(crate) fn add(&mut self, width: usize, rows: Rows, space: Space) -> usize {
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

    /// Floats of all buffers that are of the given spaces.
    pub(crate) fn len(&self, of: Extent, spaces: &[Space]) -> usize {
        let here = (0..self.0.len()).filter(|&i| spaces.contains(&self.0[i].space));
        here.map(|i| self.len_of(i, of).next_multiple_of(LINE)).sum()
    }

    /// Where each buffer lies in a pass: whether on the tape or in the scratch space, and its floats there. What the pass doesn't need is
    /// empty.
    #[must_use]
    pub fn places(&self, of: Extent, pass: Space) -> Vec<(bool, Range<usize>)> {
        let mut ends = [0, 0];
        let place = |i: usize| {
            let space = self.0[i].space;
            let tape = space == Space::Tape;
            if !(tape || space == Space::Both || space == pass) {
                return (tape, 0..0);
            }
            let (end, len) = (&mut ends[usize::from(tape)], self.len_of(i, of));
            let start = *end;
            *end += len.next_multiple_of(LINE);
            (tape, start..start + len)
        };
        (0..self.0.len()).map(place).collect()
    }
}
