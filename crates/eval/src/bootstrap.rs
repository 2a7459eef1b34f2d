//! Means with bootstrap intervals.

use looped_core::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The ends of the reported interval, as quantiles of the resampled means.
const INTERVAL: [f64; 2] = [0.05, 0.95];

/// A score per prompt (row) and point or loop (column).
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    columns: usize,
    /// (prompts, columns), row-major.
    values: Vec<f64>,
}

impl Scores {
    /// No prompts yet.
    ///
    /// # Panics
    /// If `columns` is 0.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        assert!(columns > 0, "Scores::new: no columns");
        Self { columns, values: Vec::new() }
    }

    /// Adds a prompt.
    ///
    /// # Panics
    /// If `row` doesn't have a value for each column.
    pub fn push(&mut self, row: impl IntoIterator<Item = f64>) {
        self.values.extend(row);
        assert_eq!(self.values.len() % self.columns, 0, "Scores::push: a row of another length");
    }

    /// How many prompts there are.
    #[must_use]
    pub fn prompts(&self) -> usize {
        self.values.len() / self.columns
    }

    /// How many scores a prompt has.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The scores of each prompt.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.columns)
    }

    /// The prompts at these positions alone, in this order.
    ///
    /// # Panics
    /// If there is no prompt at one of them.
    #[must_use]
    pub fn at(&self, positions: &[usize]) -> Self {
        let row = |&i: &usize| &self.values[i * self.columns..(i + 1) * self.columns];
        Self { columns: self.columns, values: positions.iter().flat_map(row).copied().collect() }
    }

    /// Each column's mean over the prompts, with the 5 % and 95 % quantiles of that mean over `resamples` draws of as
    /// many prompts with replacement (Efron's percentile interval).
    ///
    /// Whole prompts are drawn, the same ones for every column and for every call with the same `seed` and number of
    /// prompts: differences between curves are those of paired samples. The number of threads changes nothing.
    ///
    /// # Panics
    /// If there are no prompts or no resamples.
    #[must_use]
    pub fn curve(&self, resamples: usize, seed: u64) -> Curve {
        assert!(self.prompts() > 0 && resamples > 0, "Scores::curve: nothing to draw from, or no draws");
        let means = self.resampled_means(resamples, seed);
        let mut curve = Curve { mean: self.mean(), ..Curve::default() };
        for column in 0..self.columns {
            let of_means = sorted(means.iter().map(|mean| mean[column]));
            curve.low.push(quantile(&of_means, INTERVAL[0]));
            curve.high.push(quantile(&of_means, INTERVAL[1]));
            let of_prompts = sorted(self.rows().map(|row| row[column]));
            curve.median.push(quantile(&of_prompts, 0.5));
            curve.largest_share.push(largest_share(&of_prompts));
        }
        curve
    }

    /// Each column's mean over the prompts.
    #[must_use]
    pub fn mean(&self) -> Vec<f64> {
        self.weighted_mean(&vec![1; self.prompts()])
    }

    /// Each column's mean in `resamples` draws of as many prompts with replacement; the prompts of a draw depend on
    /// `seed` and the number of prompts alone, so that runs scored on the same prompts stay paired in every draw.
    #[must_use]
    pub fn resampled_means(&self, resamples: usize, seed: u64) -> Vec<Vec<f64>> {
        let draw = |index| self.weighted_mean(&self.draw(&mut Rng::stream(seed, "bootstrap", index)));
        (0..resamples as u64).into_par_iter().map(draw).collect()
    }

    /// How often each prompt comes up in as many draws with replacement as there are prompts.
    fn draw(&self, rng: &mut Rng) -> Vec<u32> {
        let mut counts = vec![0; self.prompts()];
        (0..counts.len()).for_each(|_| counts[rng.below(self.prompts())] += 1);
        counts
    }

    /// The mean of each column where prompt i counts `counts[i]` times; the counts' sum is the number of prompts.
    fn weighted_mean(&self, counts: &[u32]) -> Vec<f64> {
        let mut sums = vec![0.0; self.columns];
        for (row, &count) in self.values.chunks_exact(self.columns).zip(counts) {
            // 0 times infinity would not be 0.
            if count > 0 {
                let count = f64::from(count);
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += count * value);
            }
        }
        sums.iter_mut().for_each(|sum| *sum /= self.prompts() as f64);
        sums
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The part of the sum of sorted values that is its last one's.
fn largest_share(sorted: &[f64]) -> f64 {
    let sum: f64 = sorted.iter().sum();
    match sorted.last() {
        Some(&largest) if sum > 0.0 => largest / sum,
        _ => 0.0,
    }
}

/// The quantile of sorted values, linear between neighbours (numpy's default).
fn quantile(sorted: &[f64], level: f64) -> f64 {
    let position = level * (sorted.len() - 1) as f64;
    let below = sorted[position as usize];
    let above = sorted[(position as usize + 1).min(sorted.len() - 1)];
    if below == above { below } else { below + position.fract() * (above - below) }
}

/// Means with the ends of their intervals, one per number of in-context examples or per loop.
///
/// A value that isn't finite (a model that diverged) is `null` in JSON and NaN once read again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// The means.
    #[serde(serialize_with = "with_nulls", deserialize_with = "from_nulls")]
    pub mean: Vec<f64>,
    /// The 5 % quantiles of the resampled means.
    #[serde(serialize_with = "with_nulls", deserialize_with = "from_nulls")]
    pub low: Vec<f64>,
    /// The 95 % quantiles of the resampled means.
    #[serde(serialize_with = "with_nulls", deserialize_with = "from_nulls")]
    pub high: Vec<f64>,
    /// The medians over the prompts; none in files before format 1.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "with_nulls",
        deserialize_with = "from_nulls"
    )]
    pub median: Vec<f64>,
    /// The part of each mean that is due to its largest score; none in files before format 1.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "with_nulls",
        deserialize_with = "from_nulls"
    )]
    pub largest_share: Vec<f64>,
}

/// A mean over at least this many prompts should not hang on one of them.
const MANY_PROMPTS: usize = 200;

/// A mean is mostly one prompt if more than this share of it is that prompt's.
const LARGE_SHARE: f64 = 0.1;

impl Curve {
    /// Whether the mean at `index`, over `prompts` prompts, is mostly one of them: then the distribution of the scores
    /// may have no mean at all, and the median says more.
    #[must_use]
    pub fn is_mostly_one_prompt(&self, index: usize, prompts: usize) -> bool {
        prompts >= MANY_PROMPTS && self.largest_share.get(index).is_some_and(|&share| share > LARGE_SHARE)
    }

    /// How many values each of its parts has, if they agree.
    pub(crate) fn lengths(&self) -> Vec<usize> {
        let optional = [&self.median, &self.largest_share].into_iter().filter(|part| !part.is_empty());
        [&self.mean, &self.low, &self.high].into_iter().chain(optional).map(Vec::len).collect()
    }
}

fn with_nulls<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|&v| v.is_finite().then_some(v)))
}

fn from_nulls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let values = Vec::<Option<f64>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|v| v.unwrap_or(f64::NAN)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores<const COLUMNS: usize>(rows: &[[f64; COLUMNS]]) -> Scores {
        let mut scores = Scores::new(COLUMNS);
        rows.iter().for_each(|&row| scores.push(row));
        scores
    }

    #[test]
    fn equal_scores_have_no_interval() {
        let curve = scores(&[[2.0, 5.0]; 7]).curve(50, 1);
        let all = vec![2.0, 5.0];
        assert_eq!((&curve.mean, &curve.low, &curve.high, &curve.median), (&all, &all, &all, &all));
    }

    #[test]
    fn nine_intervals_in_ten_hold_the_true_mean() {
        let (trials, prompts) = (400, 100);
        let mut rng = Rng::stream(5, "coverage", 0);
        let covered = (0..trials)
            .filter(|&trial| {
                let mut scores = Scores::new(1);
                (0..prompts).for_each(|_| scores.push([3.0 + rng.normal()]));
                let curve = scores.curve(300, trial);
                curve.low[0] <= 3.0 && 3.0 <= curve.high[0]
            })
            .count();
        // 360 expected, standard deviation 6.
        assert!((340..=380).contains(&covered), "{covered} of {trials}");
    }

    #[test]
    fn the_width_is_that_of_a_normal_mean() {
        let mut rng = Rng::stream(6, "width", 0);
        let mut scores = Scores::new(1);
        (0..1000).for_each(|_| scores.push([rng.normal()]));
        let curve = scores.curve(1000, 0);
        let expected = 2.0 * 1.645 / 1000f64.sqrt();
        let width = curve.high[0] - curve.low[0];
        assert!((width / expected - 1.0).abs() < 0.1, "{width}, expected {expected}");
    }

    #[test]
    fn the_seed_alone_decides() {
        let rows = scores(&[[1.0], [2.0], [4.0], [8.0]]);
        assert_eq!(rows.curve(20, 3), rows.curve(20, 3));
        assert_ne!(rows.curve(20, 3), rows.curve(20, 4));
    }

    #[test]
    fn what_is_not_finite_is_null_and_comes_back_as_nan() {
        let curve = scores(&[[1.0, f64::INFINITY], [1.0, f64::NAN]]).curve(10, 0);
        let text = serde_json::to_string(&curve).unwrap();
        assert!(text.starts_with(r#"{"mean":[1.0,null],"low":[1.0,null],"high":[1.0,null],"#), "{text}");
        let back: Curve = serde_json::from_str(&text).unwrap();
        assert!(back.mean[0] == 1.0 && back.mean[1].is_nan());
    }

    #[test]
    fn a_mean_that_is_mostly_one_prompt_is_told_from_one_that_does_not() {
        let mut rng = Rng::stream(7, "tails", 0);
        let mut rows = Scores::new(2);
        // Squares of a normal and of a Cauchy variable: the second has no mean.
        (0..1280).for_each(|_| rows.push([rng.normal().powi(2), (rng.normal() / rng.normal()).powi(2)]));
        let curve = rows.curve(20, 0);
        assert!(!curve.is_mostly_one_prompt(0, 1280), "{curve:?}");
        assert!(curve.is_mostly_one_prompt(1, 1280), "{curve:?}");
        assert!((curve.median[0] - 0.455).abs() < 0.06 && (curve.median[1] - 1.0).abs() < 0.2, "{curve:?}");
        assert!(!curve.is_mostly_one_prompt(1, 20), "every prompt has a large share in a mean of a few");
    }

    #[test]
    fn a_curve_of_an_earlier_version_is_read_without_medians() {
        let curve: Curve = serde_json::from_str(r#"{"mean":[1.0],"low":[0.5],"high":[2.0]}"#).unwrap();
        assert!(curve.median.is_empty() && !curve.is_mostly_one_prompt(0, 1280));
    }
}
