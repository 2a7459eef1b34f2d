//! Which kernels an operation needs: the closed list that every engine answers in full.

use std::ops::Range;
use std::sync::Arc;

use crate::ops::{ByLoop, Cell, Custom, Func, Keep, Product, Rotary};
use crate::{Heads, Linear, Norm, Param};

/// An operation as an engine sees it. Operations are open and these are closed: an engine is a `match`, so a new form doesn't compile until
/// every engine has an answer.
#[derive(Clone, Copy, Debug)]
pub enum Form<'a> {
    /// A parameter as one row.
    Parameter(Param),
    /// A product with a weight, and a bias.
    Linear(Linear),
    /// A product with a matrix that is a value.
    Product(Product),
    /// A norm of each row.
    Norm(Norm),
    /// A scalar function.
    Point(Func),
    /// Columns of each row.
    Columns(&'a Range<usize>),
    /// Rows side by side.
    Concat,
    /// Rows of one number.
    Fill(f32),
    /// The rows of some tokens.
    Keep(Keep),
    /// The columns of a table, (width, entries), by the tokens' numbers.
    Lookup {
        /// The table.
        table: Param,
        /// How many entries it has.
        entries: usize,
    },
    /// The rows of a table, by position, added.
    Positions(Param),
    /// A row of a table, by the loop's number.
    ByLoop(&'a ByLoop),
    /// Rows of earlier tokens.
    Shift(usize),
    /// Rotary positions.
    Rotary(Rotary),
    /// Softmax attention.
    Attention(Heads),
    /// The scan of a diagonal state space.
    Scan,
    /// A recurrence with a recorded cell.
    Recur(&'a Cell),
    /// The same numbers without gradient.
    StopGradient,
    /// What this crate doesn't know.
    Custom(&'a Arc<dyn Custom>),
}
