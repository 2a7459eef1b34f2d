//! A recurrence's cell as the steps of a pass over the tokens, for any engine.
//!
//! What doesn't see a state is computed for all tokens at once. At a token there is one product for each linear layer of a state and one
//! elementwise program. Backward the tokens come in reverse; weights get their gradients after them, in one product over all.
//! Within a pass the rows are kept token by token, so that a token's rows are contiguous.

mod back;
mod buffers;
mod plan;
mod points;

pub use back::{Back, BackPlan};
pub use buffers::{Buffer, Buffers, Extent, Rows, Space, View, When, Window};
pub use plan::{NormStep, Plan, Product, Term, Work};
pub use points::Code;

use std::ops::Range;

use crate::lower::RecurRoom;
use crate::ops::Cell;

/// A cell as steps.
#[derive(Clone, Debug)]
pub struct CellPlan {
    /// The forward pass.
    pub plan: Plan,
    /// For each elementwise program of the plan, what it writes where a backward pass will follow.
    pub recorded: Vec<Code>,
    /// And where none will.
    pub free: Vec<Code>,
    /// The backward pass.
    pub back: BackPlan,
}

impl CellPlan {
    /// The steps of a cell.
    ///
    /// # Errors
    /// If there is something in the cell for which there is no kernel.
    pub fn new(cell: &Cell, input_width: usize) -> Result<Self, String> {
        let mut plan = Plan::new(cell, input_width)?;
        let (back, kept) = BackPlan::new(&mut plan);
        let recorded =
            plan.points.iter().zip(&kept).map(|(points, kept)| points.forward(Some(kept))).collect();
        let free = plan.points.iter().map(|points| points.forward(None)).collect();
        Ok(Self { plan, recorded, free, back })
    }

    /// What a pass takes of memory: the forward pass leaves the tape for the backward one; either needs so much scratch space, with the
    /// tape where none is left.
    #[must_use]
    pub fn room(&self, of: Extent) -> RecurRoom {
        let len = |spaces: &[Space]| self.plan.buffers.len(of, spaces);
        let forward = len(&[Space::Tape, Space::Forward, Space::Both]);
        let scratch = forward.max(len(&[Space::Backward, Space::Both]));
        RecurRoom { tape: len(&[Space::Tape]), scratch }
    }

    /// Each state with its floats among all states of one token, which lie one after another, each (sequences, width).
    pub fn states(&self, of: Extent) -> impl Iterator<Item = (usize, Range<usize>)> {
        let mut at = 0;
        self.plan.states.iter().enumerate().map(move |(i, &buffer)| {
            let start = at;
            at += of.sequences * self.plan.buffers.0[buffer].width;
            (i, start..at)
        })
    }
}
