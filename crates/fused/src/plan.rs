//! What a step asks for, checked, and how its prompts are shared out.

use std::ops::Range;

use looped_core::fused::{Chunk, Outputs, Precision};
use looped_core::{Error, FusedInjection, Kept, LoopPlan, ModelDims, Objective, Prompts, Result};

/// What a training step needs to know besides its prompts.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Loops, and how many of the last carry gradient.
    pub plan: LoopPlan,
    /// How many of the last loops enter the loss; more than the window means the window.
    pub loss_loops: usize,
    /// What is minimised.
    pub objective: Objective,
    /// The inputs' type in the blocks' products.
    pub precision: Precision,
}

/// The tokens of every prompt, cut where the state begins to matter.
#[derive(Clone, Copy)]
pub(crate) struct Tokens {
    /// Tokens that get the same input in every loop.
    pub(crate) prefix: usize,
    /// Tokens that are looped over.
    pub(crate) suffix: usize,
    pub(crate) injection: FusedInjection,
}

impl Tokens {
    /// The tokens of these prompts. n points have 2n tokens, of which the last, y_n, is read by nothing: the others see only
    /// what is before them.
    ///
    /// # Errors
    /// If the prompts don't fit the model.
    pub(crate) fn new(prompts: &Prompts, dims: ModelDims, injection: FusedInjection) -> Result<Self> {
        let refuse = |what: String| Err(Error::Data(what));
        if prompts.prompts == 0 || prompts.points == 0 {
            return refuse(format!("there are {} prompts of {} points", prompts.prompts, prompts.points));
        }
        if prompts.n_dims != dims.n_dims {
            return refuse(format!("x has {} coordinates, the model takes {}", prompts.n_dims, dims.n_dims));
        }
        if prompts.points > dims.n_positions {
            return refuse(format!(
                "a prompt has {} points, the model has positions for {}",
                prompts.points, dims.n_positions
            ));
        }
        let rows = prompts.prompts * prompts.points;
        if prompts.ys.len() != rows || prompts.xs.len() != rows * prompts.n_dims {
            return refuse(format!(
                "{} values of x and {} of y aren't {} prompts of {} points",
                prompts.xs.len(),
                prompts.ys.len(),
                prompts.prompts,
                prompts.points
            ));
        }
        Ok(Self::of_points(prompts.points, injection))
    }

    /// The tokens of prompts of 1 point or more.
    pub(crate) fn of_points(points: usize, injection: FusedInjection) -> Self {
        let read = 2 * points - 1;
        let prefix = match injection {
            FusedInjection::Combine { kept: Kept::Last(n), .. } => (2 * points).saturating_sub(n).min(read),
            _ => 0,
        };
        Self { prefix, suffix: read - prefix, injection }
    }

    /// The prefixes and the suffixes of some sequences. A prefix has one loop, its last.
    pub(crate) fn of(self, sequences: usize) -> (Chunk, Chunk) {
        let prefix = Chunk { sequences, tokens: self.prefix, prefix: 0, outputs: Outputs::Predictions };
        (prefix, Chunk { tokens: self.suffix, prefix: self.prefix, outputs: Outputs::All, ..prefix })
    }
}

/// The loops of a training step.
#[derive(Clone, Copy)]
pub(crate) struct Loops {
    /// Loops without gradient.
    pub(crate) free: usize,
    /// Loops with gradient, after them.
    pub(crate) window: usize,
    /// The last of those, that enter the loss.
    pub(crate) counted: usize,
    pub(crate) objective: Objective,
    /// What each prediction's loss counts: one over their number.
    pub(crate) weight: f64,
}

impl Loops {
    /// # Errors
    /// If no loop enters the loss.
    pub(crate) fn new(step: Step, prompts: &Prompts) -> Result<Self> {
        let window = step.plan.window.min(step.plan.loops);
        let counted = step.loss_loops.min(window);
        if counted == 0 {
            let LoopPlan { loops, window } = step.plan;
            return Err(Error::Data(format!(
                "of {loops} loops, {window} carry gradient and {} enter the loss: there is no loss",
                step.loss_loops
            )));
        }
        let weight = 1.0 / (counted * prompts.prompts * prompts.points) as f64;
        Ok(Self { free: step.plan.loops - window, window, counted, objective: step.objective, weight })
    }

    /// What the predictions at a chunk's x tokens add to the loss, if they stand for `times` loops; `slopes` gets the
    /// derivatives.
    ///
    /// # Shapes
    /// `predictions` and `slopes` (sequences, points), for the prompts from `first` on.
    pub(crate) fn loss(
        self,
        prompts: &Prompts,
        first: usize,
        chunk: Chunk,
        times: usize,
        predictions: &[f32],
        slopes: &mut [f32],
    ) -> f64 {
        let weight = self.weight * times as f64;
        let mut loss = 0.0;
        let rows = predictions.chunks_exact(prompts.points).zip(slopes.chunks_exact_mut(prompts.points));
        for (sequence, (predictions, slopes)) in rows.enumerate() {
            let (_, ys) = prompts.get(first + sequence);
            for point in chunk.points() {
                let (value, slope) = self.objective.value_and_slope(predictions[point], ys[point]);
                loss += f64::from(value);
                slopes[point] = (f64::from(slope) * weight) as f32;
            }
        }
        loss * weight
    }
}

/// Rows that a chunk has in a loop, about: enough for products to run at full speed, so few that a loop's activations stay
/// in the second-level cache up to a width of 256.
const ROWS: usize = 80;
/// The same with the prefixes, whose memories every loop reads again: more take longer than larger products save.
const ROWS_WITH_PREFIX: usize = 324;

/// The prompts of each chunk, `least` or more where there are so many for each thread; thread i of n takes the chunks i,
/// i + n, i + 2n, ...
pub(crate) fn chunks(prompts: usize, tokens: Tokens, least: usize, threads: usize) -> Vec<Range<usize>> {
    let Tokens { prefix, suffix, .. } = tokens;
    let most = ROWS.div_ceil(suffix.max(1)).min(ROWS_WITH_PREFIX.div_ceil(prefix + suffix));
    let most = most.max(least).min(prompts.div_ceil(threads));
    // As many chunks for each thread, of sizes that differ by 1 at most.
    let count = prompts.div_ceil(most).next_multiple_of(threads).min(prompts);
    (0..count).map(|i| i * prompts / count..(i + 1) * prompts / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(prefix: usize, suffix: usize) -> Tokens {
        Tokens { prefix, suffix, injection: FusedInjection::Keep }
    }

    #[test]
    fn chunks_cover_the_prompts_and_load_threads_evenly() {
        for prompts in [1, 2, 3, 7, 64, 100, 1280] {
            for (prefix, suffix) in [(0, 1), (0, 21), (0, 81), (0, 201), (0, 5000), (62, 19), (41, 0)] {
                for (threads, least) in [(1, 1), (1, 4), (2, 1), (2, 4), (3, 1), (16, 1), (16, 4)] {
                    let chunks = chunks(prompts, tokens(prefix, suffix), least, threads);
                    assert_eq!(chunks[0].start, 0);
                    assert!(chunks.windows(2).all(|pair| pair[0].end == pair[1].start));
                    assert_eq!(chunks[chunks.len() - 1].end, prompts);
                    let sizes = chunks.iter().map(ExactSizeIterator::len);
                    let (least, most) = (sizes.clone().min().unwrap(), sizes.max().unwrap());
                    assert!(least >= 1 && most <= least + 1);
                    assert!(chunks.len().is_multiple_of(threads) || chunks.len() == prompts);
                }
            }
        }
    }

    #[test]
    fn a_chunk_has_as_many_rows_with_a_prefix_up_to_a_bound() {
        let largest = |prefix, suffix| {
            chunks(64, tokens(prefix, suffix), 1, 2).iter().map(ExactSizeIterator::len).max().unwrap()
        };
        assert_eq!(largest(0, 81), 1);
        assert_eq!(largest(0, 21), 4);
        assert_eq!(largest(22, 59), 2);
        assert_eq!(largest(62, 19), 4);
        assert_eq!(largest(80, 1), 4);
    }

    #[test]
    fn a_chunk_has_the_least_number_of_sequences_if_there_are_so_many_for_each_thread() {
        let sizes = |prompts, least| {
            let chunks = chunks(prompts, tokens(0, 81), least, 2);
            chunks.iter().map(ExactSizeIterator::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(16, 4), [4; 4]);
        assert_eq!(sizes(4, 4), [2; 2]);
        assert_eq!(sizes(1, 4), [1]);
    }
}
