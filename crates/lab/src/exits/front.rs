//! Error against mean loops: of a rule at many thresholds, of the oracle, of exits at random.

use looped_eval::{Curve, Scores};
use serde::{Deserialize, Serialize};

use super::{OracleFront, Signal};
use crate::best::{at, sorted};

/// Thresholds at which a rule is looked at.
pub(super) const THRESHOLDS: usize = 40;

/// Prices of a loop that the oracle is asked at.
const PRICES: usize = 60;

/// What a rule does at thresholds from low to high.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Front {
    /// The thresholds: quantiles of the rule's own numbers. The first is 0, at which it never fires.
    pub thresholds: Vec<f64>,
    /// The part of the prompts for which it fires before the last loop.
    pub fires: Vec<f64>,
    /// The mean number of loops.
    pub mean_loops: Vec<f64>,
    /// The mean error.
    pub error: Curve,
    /// The expected error if the same exit loops were dealt out to the prompts at random: what the rule knows of a prompt is worth the difference.
    pub random: Vec<Option<f64>>,
}

impl Front {
    /// The place of the threshold whose mean number of loops is the nearest.
    #[must_use]
    pub fn nearest(&self, loops: f64) -> usize {
        let gap = |i: &usize| (self.mean_loops[*i] - loops).abs();
        (0..self.thresholds.len()).min_by(|a, b| gap(a).total_cmp(&gap(b))).unwrap_or(0)
    }
}

/// What a rule does; `errors` has a row for each prompt and a column for each loop.
#[must_use]
pub fn rule(signal: &Signal, errors: &Scores, resamples: usize, seed: u64) -> Front {
    let numbers =
        sorted(signal.values.iter().flat_map(|values| signal.held(values)).filter(|value| value.is_finite()));
    let mut thresholds = vec![0.0];
    if !numbers.is_empty() {
        let quantile = |n: usize| at(&numbers, n as f64 / (THRESHOLDS - 2) as f64);
        // A little above, so that the number itself is below.
        thresholds.extend((0..THRESHOLDS - 1).map(|n| quantile(n) * (1.0 + 1e-9) + f64::MIN_POSITIVE));
    }
    thresholds.dedup();
    let exits: Vec<Vec<usize>> = thresholds.iter().map(|&threshold| signal.exits(threshold)).collect();
    let means = errors.mean();
    Front {
        fires: thresholds.iter().map(|&threshold| signal.fires(threshold)).collect(),
        mean_loops: exits.iter().map(|exits| mean(exits)).collect(),
        error: at_loops(errors, &exits).curve(resamples, seed),
        random: exits
            .iter()
            .map(|exits| Some(random(exits, &means)).filter(|error| error.is_finite()))
            .collect(),
        thresholds,
    }
}

/// The expected error if these exit loops were dealt out to the prompts at random; `means` is the mean error after each loop.
#[must_use]
pub fn random(exits: &[usize], means: &[f64]) -> f64 {
    exits.iter().map(|&exit| means[exit - 1]).sum::<f64>() / exits.len() as f64
}

/// For each prompt the loop, from 1, of the least error + price times loops, the first of equals; and the mean of these loops.
#[must_use]
pub fn oracle(errors: &Scores, price: f64) -> (Vec<usize>, f64) {
    let best = |row: &[f64]| {
        let cost = |index: usize| row[index] + price * (index + 1) as f64;
        let better = |best: usize, index: usize| {
            if cost(index) < cost(best) || cost(best).is_nan() { index } else { best }
        };
        (1..row.len()).fold(0, better) + 1
    };
    let exits: Vec<usize> = errors.rows().map(best).collect();
    let mean = mean(&exits);
    (exits, mean)
}

/// The oracle at many prices.
pub(super) fn of_oracle(errors: &Scores) -> OracleFront {
    let most = errors.rows().flatten().copied().filter(|error| error.is_finite()).fold(0.0, f64::max);
    let mut prices: Vec<f64> =
        (0..PRICES).map(|n| most * 1e-8f64.powf(n as f64 / (PRICES - 1) as f64)).collect();
    prices.push(0.0);
    let mut found = OracleFront::default();
    for price in prices {
        let (exits, loops) = oracle(errors, price);
        if found.mean_loops.last() != Some(&loops) {
            let error = at_loops(errors, &[exits]).mean()[0];
            found.mean_loops.push(loops);
            found.error.push(Some(error).filter(|error| error.is_finite()));
        }
    }
    found
}

/// The error of each prompt (row) at each of these exits (columns).
pub(super) fn at_loops(errors: &Scores, exits: &[Vec<usize>]) -> Scores {
    let mut found = Scores::new(exits.len());
    for (i, row) in errors.rows().enumerate() {
        found.push(exits.iter().map(|exits| row[exits[i] - 1]));
    }
    found
}

pub(super) fn mean(exits: &[usize]) -> f64 {
    exits.iter().sum::<usize>() as f64 / exits.len() as f64
}
