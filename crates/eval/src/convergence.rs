//! Whether a looped model's loops converge: its scores, and its state itself.

use looped_core::{Result, Stateful, Task, Watch};
use serde::{Deserialize, Serialize};

use crate::{Curve, EvalPlan, Scores};

/// A score has converged at the loop from which on it stays this near its last value, relative to it.
pub const CONVERGED_WITHIN: f64 = 0.05;

/// How many prompts the states are looked at on: a distance over all tokens varies little between prompts.
const PROMPTS: usize = 64;

/// How many of them at a time: bounds memory, and changes no result.
const AT_ONCE: usize = 8;

/// How far the state moves in each loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateChange {
    /// How many prompts it is the mean over: the evaluation's first ones, 64 at most.
    pub prompts: usize,
    /// The distance |Z_l - Z_{l-1}| / |Z_{l-1}| between the states after loops l and l - 1, Euclidean over all tokens;
    /// entry l - 1 is for loop l. The first is `null`: before it there is no state of the network's own.
    pub distance: Curve,
}

/// How far a model's state moves from loop to loop, on the first prompts of a plan.
///
/// # Errors
/// If the plan can't work, drawing prompts or a tensor operation fails, or `watch` wants to stop.
pub fn state_change(
    model: &dyn Stateful,
    task: &dyn Task,
    plan: &EvalPlan,
    watch: &dyn Watch,
) -> Result<StateChange> {
    plan.check()?;
    let plan = &plan.within(task)?;
    let count = plan.prompts.min(PROMPTS);
    let prompts = plan.draw(task, 0, count)?.slice(0..count);
    // For each loop but the first, a distance a prompt.
    let mut distances: Vec<Vec<f32>> = vec![Vec::with_capacity(count); plan.loops - 1];
    for first in (0..count).step_by(AT_ONCE) {
        let some = prompts.slice(first..count.min(first + AT_ONCE));
        let mut looping = model.looping(&some, plan.loops)?;
        let mut before = looping.next_state()?.flatten_from(1)?;
        for distances in &mut distances {
            watch.check()?;
            let state = looping.next_state()?.flatten_from(1)?;
            let moved = (&state - &before)?.sqr()?.sum(1)?.sqrt()?;
            distances.extend((moved / before.sqr()?.sum(1)?.sqrt()?)?.to_vec1::<f32>()?);
            before = state;
        }
    }
    let none = vec![f64::NAN];
    let mut distance = Curve { mean: none.clone(), low: none.clone(), high: none, ..Curve::default() };
    if !distances.is_empty() {
        let mut scores = Scores::new(distances.len());
        (0..count).for_each(|i| scores.push(distances.iter().map(|of_loop| f64::from(of_loop[i]))));
        let curve = scores.curve(plan.resamples, plan.seed);
        distance.mean.extend(curve.mean);
        distance.low.extend(curve.low);
        distance.high.extend(curve.high);
    }
    Ok(StateChange { prompts: count, distance })
}

/// Sums of scores over prompts, for each loop and number of examples.
pub(crate) struct Sums {
    points: usize,
    /// (loops, points).
    values: Vec<f64>,
}

impl Sums {
    pub(crate) fn new(loops: usize, points: usize) -> Self {
        Self { points, values: vec![0.0; loops * points] }
    }

    /// Adds the scores (prompts, points) after loop `index`.
    pub(crate) fn add(&mut self, index: usize, scores: impl Iterator<Item = f64>) {
        let sums = &mut self.values[index * self.points..(index + 1) * self.points];
        scores.enumerate().for_each(|(i, score)| sums[i % self.points] += score);
    }

    /// The means over so many prompts: (loops, points).
    pub(crate) fn means(&self, prompts: usize) -> Vec<Vec<f64>> {
        let mean = |sum: &f64| sum / prompts as f64;
        self.values.chunks_exact(self.points).map(|row| row.iter().map(mean).collect()).collect()
    }

    /// For each number of examples, the first loop (from 1) from which on the sum stays within [`CONVERGED_WITHIN`] of
    /// the last one.
    pub(crate) fn converged_at(&self) -> Vec<Option<usize>> {
        let loops = self.values.len() / self.points;
        let of_point = |point: usize| {
            let after = |index: usize| self.values[index * self.points + point];
            let last = after(loops - 1);
            // Not `<=` negated: what isn't finite is far away.
            let near = |index: &usize| (after(*index) - last).abs() <= CONVERGED_WITHIN * last.abs();
            last.is_finite().then(|| loops + 1 - (0..loops).rev().take_while(near).count())
        };
        (0..self.points).map(of_point).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_of_convergence_is_the_first_of_the_stretch_that_lasts() {
        // One column a number of examples: near for a while but not to stay; there at once; moving to the end; diverged.
        let rows = [
            [1.04, 2.0, 9.0, 1.0],
            [1.2, 2.01, 7.0, 1.0],
            [1.04, 2.0, 5.0, f64::INFINITY],
            [1.0, 2.0, 3.0, f64::NAN],
        ];
        let mut sums = Sums::new(4, 4);
        rows.iter().enumerate().for_each(|(index, row)| sums.add(index, row.iter().copied()));
        assert_eq!(sums.converged_at(), [Some(3), Some(1), Some(4), None]);
    }

    #[test]
    fn prompts_are_added_up() {
        let mut sums = Sums::new(1, 2);
        sums.add(0, [1.0, 2.0, 10.0, 20.0].into_iter());
        assert_eq!(sums.values, [11.0, 22.0]);
    }
}
