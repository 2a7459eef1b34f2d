//! Exits over how hard a prompt is.

use looped_core::{Predictor, Result, Stateful, Stretch, Watch};
use looped_eval::{Curve, EvalPlan, Scores};
use serde::{Deserialize, Serialize};

use super::signals::Measuring;
use super::{Rule, oracle};

/// Most values of an axis.
const MOST: usize = 8;

/// Most prompts at each.
const PROMPTS: usize = 128;

/// What makes a prompt harder or easier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// In-context examples before the query.
    Examples,
    /// Coordinates of x in use.
    Dims,
}

impl Axis {
    /// Its words in figures.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Examples => "in-context examples",
            Self::Dims => "coordinates in use",
        }
    }
}

/// Where rules stop over an axis: each at the threshold at which it takes half of the loops on the mean of the prompts as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difficulty {
    /// The axis.
    pub axis: Axis,
    /// Its values.
    pub values: Vec<usize>,
    /// How many prompts there were at each.
    pub prompts: usize,
    /// The mean exit loop of each rule, in the rules' order; an entry for each value.
    pub exits: Vec<Curve>,
    /// The mean loop of the least error.
    pub oracle: Curve,
    /// The error after the last loop.
    pub error: Curve,
}

/// An axis before it is looked at.
pub(super) struct Values {
    axis: Axis,
    pub(super) values: Vec<usize>,
}

/// Examples from 2 on (one leaves nothing to predict it from), and coordinates from 1 on.
pub(super) fn axes(eval: &EvalPlan) -> Vec<Values> {
    let some = |axis, from: usize, to: usize| Values { axis, values: spaced(from, to) };
    let axes = [some(Axis::Examples, 2, eval.points - 1), some(Axis::Dims, 1, eval.dims)];
    axes.into_iter().filter(|axis| axis.values.len() > 1).collect()
}

/// Evenly spaced whole numbers, both ends among them.
fn spaced(from: usize, to: usize) -> Vec<usize> {
    if from > to {
        return Vec::new();
    }
    let count = (to - from + 1).min(MOST);
    let value = |n: usize| from + (n * (to - from) + (count - 1) / 2) / (count - 1).max(1);
    let mut values: Vec<usize> = (0..count).map(value).collect();
    values.dedup();
    values
}

/// How many prompts are looked at for each value.
pub(super) fn prompts(eval: &EvalPlan) -> usize {
    eval.prompts.min(PROMPTS)
}

pub(super) fn look<M: Stateful + Predictor>(
    measuring: &Measuring<'_, M>,
    axes: &[Values],
    eval: &EvalPlan,
    rules: &[Rule],
    watch: &Stretch<'_>,
) -> Result<Vec<Difficulty>> {
    let count = prompts(eval);
    let mut before = watch.before;
    let mut found = Vec::new();
    for Values { axis, values } in axes {
        let mut exits: Vec<Vec<Vec<f64>>> = vec![Vec::new(); rules.len()];
        let (mut best, mut last) = (Vec::new(), Vec::new());
        for &value in values {
            let easier = match axis {
                Axis::Examples => EvalPlan { points: value + 1, prompts: count, ..eval.clone() },
                Axis::Dims => EvalPlan { dims: value, prompts: count, ..eval.clone() },
            };
            let drawn = easier.draw(measuring.task, 0, count)?;
            let seen = measuring.look(
                &drawn,
                &easier,
                &Stretch { whole: watch.whole, before, total: watch.total },
            )?;
            before += count;
            watch.check()?;
            for ((signal, rule), exits) in seen.signals.iter().zip(rules).zip(&mut exits) {
                exits.push(signal.exits(rule.half_way).into_iter().map(|exit| exit as f64).collect());
            }
            best.push(oracle(&seen.errors, 0.0).0.into_iter().map(|exit| exit as f64).collect());
            last.push(seen.errors.rows().map(|row| row[row.len() - 1]).collect());
        }
        let curve = |columns: &[Vec<f64>]| {
            let mut scores = Scores::new(columns.len());
            (0..count).for_each(|i| scores.push(columns.iter().map(|column| column[i])));
            scores.curve(eval.resamples, eval.seed)
        };
        found.push(Difficulty {
            axis: *axis,
            values: values.clone(),
            prompts: count,
            exits: exits.iter().map(|columns| curve(columns)).collect(),
            oracle: curve(&best),
            error: curve(&last),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_spread_evenly_and_both_ends_are_among_them() {
        assert_eq!(spaced(2, 5), [2, 3, 4, 5]);
        assert_eq!(spaced(1, 1), [1]);
        assert!(spaced(2, 1).is_empty());
        let many = spaced(2, 40);
        assert_eq!((many.len(), many[0], many[7]), (8, 2, 40));
        assert!(many.windows(2).all(|pair| (5..=6).contains(&(pair[1] - pair[0]))), "{many:?}");
    }
}
