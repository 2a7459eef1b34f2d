//! Gradients of parameters that are sums over rows.
//!
//! A kernel leaves partial sums each time that it runs. Those of all loops lie together, and are added to the gradient once, at the end of a
//! step.

use std::collections::HashMap;

use looped_gpu::calls::Calls;
use looped_gpu::{Layout, Operation, Result, Span};

/// Which step of which list leaves partial sums, and which of its sums; and the loop, where each has a gradient of its own.
pub(crate) type Key = (usize, usize, usize, Option<usize>);

/// Partial sums: rows of `width`.
struct Sum {
    region: Span,
    width: usize,
    /// First column, and the gradient that these columns are for.
    goals: Vec<(usize, Span)>,
}

/// All partial sums of a step.
#[derive(Default)]
pub(crate) struct Sums {
    all: Vec<Sum>,
    by_key: HashMap<Key, usize>,
}

impl Sums {
    /// Room for the `run`-th of `times` runs: `rows` of `width`. `goals` are the gradients that the columns are for.
    pub(crate) fn room(
        &mut self,
        layout: &mut Layout,
        key: Key,
        [run, times]: [usize; 2],
        [rows, width]: [usize; 2],
        goals: &[(usize, Span)],
    ) -> Span {
        let index = *self.by_key.entry(key).or_insert_with(|| {
            let region = layout.floats(times * rows * width);
            self.all.push(Sum { region, width, goals: goals.to_vec() });
            self.all.len() - 1
        });
        self.all[index].region.slot(run, rows * width)
    }

    /// Adds them to the gradients.
    pub(crate) fn totals(&self, calls: &Calls, operations: &mut Vec<Operation>) -> Result<()> {
        for Sum { region, width, goals } in &self.all {
            for (column, goal) in goals {
                let partials = region.part(*column, region.len() - column);
                operations.push(calls.totals(partials, [goal.len(), *width], *goal, true)?);
            }
        }
        Ok(())
    }
}
