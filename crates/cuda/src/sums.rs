//! Gradients of parameters that are sums over rows.
//!
//! A kernel leaves partial sums each time that it runs. Those of all loops lie together, and are added to the gradient once, at the end of a
//! step.

use std::collections::HashMap;

use looped_gpu::calls::{Calls, Table, Totals};
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
    first: Vec<Sum>,
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

    /// Lets rows of sums be the first that are added to a gradient as wide.
    pub(crate) fn first(&mut self, region: Span, goal: Span) {
        self.first.push(Sum { region, width: goal.len(), goals: vec![(0, goal)] });
    }

    /// Adds them to the gradients: a launch or, where goals overlap in part, a few.
    pub(crate) fn totals(self, calls: &Calls, layout: &mut Layout) -> Result<Vec<(Operation, Table)>> {
        let mut launches: Vec<Vec<Totals>> = Vec::new();
        for Sum { region, width, goals } in self.first.into_iter().chain(self.all) {
            for (column, goal) in goals.into_iter().filter(|_| region.len() > 0) {
                add(&mut launches, goal, (region.part(column, region.len() - column), width));
            }
        }
        launches.iter().map(|totals| calls.add_totals(totals, layout)).collect()
    }
}

/// Puts a sum behind all that have the same goal. A launch has no goals that overlap, and of those that do the later sum comes later.
fn add(launches: &mut Vec<Vec<Totals>>, goal: Span, part: (Span, usize)) {
    if let Some(last) = launches.last_mut() {
        if let Some(same) = last.iter_mut().find(|totals| totals.goal == goal) {
            same.parts.push(part);
            return;
        }
        if last.iter().all(|totals| !totals.goal.overlaps(goal)) {
            last.push(Totals { goal, parts: vec![part] });
            return;
        }
    }
    launches.push(vec![Totals { goal, parts: vec![part] }]);
}
