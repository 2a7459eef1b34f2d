//! Which entry of a mean is the best, and how sure that is.

use looped_eval::Scores;
use serde::{Deserialize, Serialize};

/// Means that differ by less count as equal: a solver that has converged stands still.
const EQUAL: f64 = 1e-6;

/// The step of a solver that agrees best with a loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// The step, from 1; the first of those that agree equally well.
    pub step: usize,
    /// The 5 % quantile of the best steps in resamples of the prompts.
    pub low: usize,
    /// Their 95 % quantile.
    pub high: usize,
    /// Whether it is the last step that was looked at: a later one may agree better.
    pub at_the_end: bool,
    /// The mean at this step.
    pub value: f64,
    /// The 5 % quantile of its resampled means.
    pub value_low: f64,
    /// Their 95 % quantile.
    pub value_high: f64,
}

/// The solver that agrees best with a loop, at its best step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closest {
    /// Its place among the solvers.
    pub solver: usize,
    /// In which part of the resamples it is the closest.
    pub share: f64,
}

/// Finds the best step of each solver, and the best solver, of one loop.
///
/// `scores` has a row for each prompt, of `solvers` times `steps` columns. `sign` is 1 where more is better and -1 where less is.
pub(crate) fn best(
    scores: &Scores,
    steps: &[usize],
    sign: f64,
    (resamples, seed): (usize, u64),
) -> (Vec<Best>, Closest) {
    let solvers = scores.columns() / steps.len();
    let means = scores.mean();
    let resampled = scores.resampled_means(resamples, seed);
    // For each resample the place of the best step of each solver.
    let places: Vec<Vec<usize>> = resampled
        .iter()
        .map(|means| means.chunks_exact(steps.len()).map(|row| first_best(row, sign)).collect())
        .collect();
    let of_solver = |solver: usize| {
        let row = solver * steps.len();
        let place = first_best(&means[row..row + steps.len()], sign);
        let found: Vec<f64> = sorted(places.iter().map(|places| places[solver] as f64));
        let values = sorted(resampled.iter().map(|means| means[row + place]));
        Best {
            step: steps[place],
            low: steps[at(&found, 0.05) as usize],
            high: steps[at(&found, 0.95) as usize],
            at_the_end: place + 1 == steps.len() && place > 0,
            value: means[row + place],
            value_low: at(&values, 0.05),
            value_high: at(&values, 0.95),
        }
    };
    let closest = |means: &[f64]| {
        let values: Vec<f64> =
            means.chunks_exact(steps.len()).map(|row| row[first_best(row, sign)]).collect();
        first_best(&values, sign)
    };
    let solver = closest(&means);
    let often = resampled.iter().filter(|means| closest(means) == solver).count();
    let share = often as f64 / resampled.len() as f64;
    ((0..solvers).map(of_solver).collect(), Closest { solver, share })
}

/// The place of the first value that is as good as the best; 0 where none is a number.
fn first_best(values: &[f64], sign: f64) -> usize {
    let best = values.iter().map(|v| sign * v).filter(|v| v.is_finite()).fold(f64::NEG_INFINITY, f64::max);
    values.iter().position(|v| sign * v >= best - EQUAL * best.abs().max(EQUAL)).unwrap_or(0)
}

pub(crate) fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The sorted value nearest to a quantile.
pub(crate) fn at(sorted: &[f64], level: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((level * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_step_is_the_first_of_equals_and_the_interval_covers_the_prompts_that_differ() {
        // Two solvers, three steps: the first is best at step 2 for most prompts, and the second stands still.
        let mut scores = Scores::new(6);
        for i in 0..40 {
            let other = if i % 4 == 0 { 0.3 } else { 0.0 };
            scores.push([0.2, 0.9 - other, 0.8 + other / 3.0, 0.1, 0.5, 0.5]);
        }
        let (found, closest) = best(&scores, &[1, 2, 4], 1.0, (200, 1));
        assert_eq!((found[0].step, found[0].low, found[0].at_the_end), (2, 2, false));
        assert!(found[0].value_low < found[0].value && found[0].value < found[0].value_high);
        assert_eq!((found[1].step, found[1].high, found[1].at_the_end), (2, 2, false));
        assert_eq!(closest, Closest { solver: 0, share: 1.0 });
        let (found, closest) = best(&scores, &[1, 2, 4], -1.0, (200, 1));
        assert_eq!((found[0].step, closest.solver), (1, 1));
    }

    #[test]
    fn what_diverges_is_never_the_best() {
        assert_eq!(first_best(&[f64::NAN, 0.2, f64::INFINITY], 1.0), 1);
        assert_eq!(first_best(&[f64::INFINITY, 0.2], -1.0), 1);
        assert_eq!(first_best(&[f64::NAN], 1.0), 0);
    }
}
