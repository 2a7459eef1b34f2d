//! One number from several seeds.

use looped_eval::Curve;

use crate::statistics::{Scale, level};

/// The mean of all values; NaN if there are none.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
    sum / count
}

/// The mean of several runs' scores with its interval, column by column. Each run has its scores on all prompts and then
/// on each resample of them.
pub(crate) fn averaged(runs: &[&[Vec<f64>]], scale: Scale) -> Curve {
    let columns = runs.iter().filter_map(|run| run.first().map(Vec::len)).min().unwrap_or(0);
    let mut curve = Curve::default();
    for column in 0..columns {
        let of_runs: Vec<Vec<f64>> =
            runs.iter().map(|run| run.iter().map(|means| means[column]).collect()).collect();
        let found = level(&of_runs.iter().map(Vec::as_slice).collect::<Vec<_>>(), scale);
        curve.mean.push(found.estimate);
        curve.low.push(found.low);
        curve.high.push(found.high);
    }
    curve
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_seeds_have_students_interval_on_logarithms() {
        let runs = [1.0, 2.0, 4.0].map(|score| vec![vec![score, 0.5]]);
        let curve = averaged(&runs.each_ref().map(Vec::as_slice), Scale::Errors);
        assert!((curve.mean[0] - 2.0).abs() < 1e-12);
        // exp(ln 2 +- 2.91999 ln 2 / sqrt 3), by scipy.stats.t.ppf(0.95, 2).
        assert!((curve.low[0] - 0.62166).abs() < 1e-4 && (curve.high[0] - 6.4343).abs() < 1e-3, "{curve:?}");
        assert_eq!((curve.mean[1], curve.low[1], curve.high[1]), (0.5, 0.5, 0.5));
    }

    #[test]
    fn a_single_seed_has_the_interval_over_prompts() {
        let means: Vec<Vec<f64>> = [2.0, 1.0, 2.0, 3.0].into_iter().map(|mean| vec![mean]).collect();
        let curve = averaged(&[&means], Scale::Errors);
        assert!(curve.mean[0] == 2.0 && curve.low[0] < 1.3 && curve.high[0] > 2.7, "{curve:?}");
    }
}
