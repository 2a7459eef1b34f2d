//! What a value is: rows of one width.

use std::fmt;

/// How many rows a value has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rows {
    /// One, for all prompts: a parameter, or what is computed of parameters.
    Once,
    /// One for each prompt.
    Sequences,
    /// One for each token of each prompt.
    Tokens,
}

/// The shape of a value.
///
/// Widths are known when a graph is recorded, the number of rows only when it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// How many rows.
    pub rows: Rows,
    /// Numbers in a row.
    pub width: usize,
}

impl Shape {
    /// Rows of `width` for each token.
    #[must_use]
    pub const fn tokens(width: usize) -> Self {
        Self { rows: Rows::Tokens, width }
    }

    /// One row of `width`.
    #[must_use]
    pub const fn once(width: usize) -> Self {
        Self { rows: Rows::Once, width }
    }

    /// As many rows, of another width.
    #[must_use]
    pub const fn with_width(self, width: usize) -> Self {
        Self { rows: self.rows, width }
    }

    /// How many numbers it has for one prompt of so many tokens.
    #[must_use]
    pub const fn numbers(self, tokens: usize) -> u64 {
        match self.rows {
            Rows::Once | Rows::Sequences => self.width as u64,
            Rows::Tokens => (self.width * tokens) as u64,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = match self.rows {
            Rows::Once => "1",
            Rows::Sequences => "prompts",
            Rows::Tokens => "tokens",
        };
        write!(f, "({rows}, {})", self.width)
    }
}
