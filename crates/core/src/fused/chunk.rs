//! The sequences that one call works on.

use std::ops::Range;

/// The tokens whose outputs anything reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outputs {
    /// All of them.
    All,
    /// The x tokens, at which predictions are made: the y tokens before them matter to them by keys and values alone.
    Predictions,
}

/// The sequences that one call works on. Activations are (sequences, tokens, width), row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// How many sequences.
    pub sequences: usize,
    /// Tokens of each in this call: all of them, a prefix, or those after the prefix.
    pub tokens: usize,
    /// Tokens before them, whose memory is given.
    pub prefix: usize,
    /// The tokens whose outputs are read. A block may leave out the work for the others, if their outputs are finite
    /// still; the derivative by those is 0.
    pub outputs: Outputs,
}

impl Chunk {
    /// Tokens of all sequences together: the rows of an activation.
    #[must_use]
    pub const fn rows(self) -> usize {
        self.sequences * self.tokens
    }

    /// The points whose x is among the tokens: that of point i is token 2i of the sequence, and its y the one after.
    #[must_use]
    pub const fn points(self) -> Range<usize> {
        self.prefix.div_ceil(2)..(self.prefix + self.tokens).div_ceil(2)
    }

    /// The rows of the x tokens.
    pub fn x_rows(self) -> impl Iterator<Item = usize> {
        let of = move |sequence| self.points().map(move |i| sequence * self.tokens + 2 * i - self.prefix);
        (0..self.sequences).flat_map(of)
    }

    /// Rows whose outputs are read.
    #[must_use]
    pub fn read_rows(self) -> usize {
        match self.outputs {
            Outputs::All => self.rows(),
            Outputs::Predictions => self.sequences * self.points().len(),
        }
    }

    /// Copies the x tokens' rows of `all`, (rows, width), to `some`, (x tokens, width).
    pub fn gather(self, width: usize, all: &[f32], some: &mut [f32]) {
        for (row, to) in self.x_rows().zip(some.chunks_exact_mut(width)) {
            to.copy_from_slice(&all[row * width..][..width]);
        }
    }

    /// Copies `some`, (x tokens, width), to the x tokens' rows of `all`, (rows, width); the others become 0.
    pub fn scatter(self, width: usize, some: &[f32], all: &mut [f32]) {
        all.fill(0.0);
        for (row, from) in self.x_rows().zip(some.chunks_exact(width)) {
            all[row * width..][..width].copy_from_slice(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x_tokens_are_at_even_places_of_the_sequence() {
        let chunk = |tokens, prefix| Chunk { sequences: 2, tokens, prefix, outputs: Outputs::Predictions };
        let cases: [(Chunk, &[usize]); 6] = [
            (chunk(5, 0), &[0, 2, 4, 5, 7, 9]),
            (chunk(4, 2), &[0, 2, 4, 6]),
            (chunk(4, 3), &[1, 3, 5, 7]),
            (chunk(3, 3), &[1, 4]),
            (chunk(1, 1), &[]),
            (chunk(0, 4), &[]),
        ];
        for (chunk, rows) in cases {
            assert_eq!(chunk.x_rows().collect::<Vec<_>>(), rows, "{chunk:?}");
            assert_eq!(chunk.read_rows(), rows.len());
            assert_eq!(Chunk { outputs: Outputs::All, ..chunk }.read_rows(), chunk.rows());
        }
    }

    #[test]
    fn what_is_gathered_and_scattered_again_is_0_at_the_y_tokens() {
        let chunk = Chunk { sequences: 2, tokens: 3, prefix: 1, outputs: Outputs::Predictions };
        let all: Vec<f32> = (1..13u8).map(f32::from).collect();
        let (mut some, mut back) = ([0.0; 4], [9.0; 12]);
        chunk.gather(2, &all, &mut some);
        assert_eq!(some, [3.0, 4.0, 9.0, 10.0]);
        chunk.scatter(2, &some, &mut back);
        assert_eq!(back, [0.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0, 9.0, 10.0, 0.0, 0.0]);
    }
}
