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
        let means: Vec<Vec<f64>> = (0..resamples as u64)
            .into_par_iter()
            .map(|index| self.weighted_mean(&self.draw(&mut Rng::stream(seed, "bootstrap", index))))
            .collect();
        let mut curve =
            Curve { mean: self.weighted_mean(&vec![1; self.prompts()]), low: Vec::new(), high: Vec::new() };
        for column in 0..self.columns {
            let mut of_column: Vec<f64> = means.iter().map(|mean| mean[column]).collect();
            of_column.sort_unstable_by(f64::total_cmp);
            curve.low.push(quantile(&of_column, INTERVAL[0]));
            curve.high.push(quantile(&of_column, INTERVAL[1]));
        }
        curve
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
        assert_eq!(curve, Curve { mean: vec![2.0, 5.0], low: vec![2.0, 5.0], high: vec![2.0, 5.0] });
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
        assert_eq!(text, r#"{"mean":[1.0,null],"low":[1.0,null],"high":[1.0,null]}"#);
        let back: Curve = serde_json::from_str(&text).unwrap();
        assert!(back.mean[0] == 1.0 && back.mean[1].is_nan());
    }
}
