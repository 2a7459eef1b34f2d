//! One number from several seeds: their mean, its interval, their span.

use looped_eval::Curve;

/// The mean of all values; NaN if there are none.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
    sum / count
}

/// The least and the greatest value; NaN where one is not finite.
pub(crate) fn span(values: &[f64]) -> [f64; 2] {
    if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
        return [f64::NAN; 2];
    }
    [
        values.iter().copied().fold(f64::INFINITY, f64::min),
        values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    ]
}

/// Curves of several seeds as one: the mean, and from the least to the greatest seed. That of a single seed keeps its
/// interval over prompts.
pub(crate) fn overlaid(curves: &[&Curve]) -> Curve {
    pointwise(curves, |values| {
        let [low, high] = span(values);
        [mean(values.iter().copied()), low, high]
    })
}

/// Curves of several seeds as one: the mean, and its 90 % interval by Student's t over the seeds, cut to the scores that
/// there can be: from zero to `most`, 1 for an accuracy. That of a single seed keeps its interval over prompts.
pub(crate) fn averaged(curves: &[&Curve], most: f64) -> Curve {
    pointwise(curves, |values| {
        let mean = mean(values.iter().copied());
        let count = values.len() as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let reach = student_95(values.len() - 1) * (variance / count).sqrt();
        // `max` and `min` would take the other side of a NaN.
        if reach.is_nan() {
            [mean, reach, reach]
        } else {
            [mean, (mean - reach).max(0.0), (mean + reach).min(most)]
        }
    })
}

fn pointwise(curves: &[&Curve], of: impl Fn(&[f64]) -> [f64; 3]) -> Curve {
    if let [only] = curves {
        return (*only).clone();
    }
    let mut result = Curve::default();
    for point in 0..curves.iter().map(|curve| curve.mean.len()).min().unwrap_or(0) {
        let values: Vec<f64> = curves.iter().map(|curve| curve.mean[point]).collect();
        let [mean, low, high] = of(&values);
        result.mean.push(mean);
        result.low.push(low);
        result.high.push(high);
    }
    result
}

/// The 95 % quantile of Student's t.
fn student_95(dof: usize) -> f64 {
    const QUANTILES: [f64; 30] = [
        6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771, 1.761,
        1.753, 1.746, 1.740, 1.734, 1.729, 1.725, 1.721, 1.717, 1.714, 1.711, 1.708, 1.706, 1.703, 1.701,
        1.699, 1.697,
    ];
    // Beyond the table: the first terms of its expansion around the normal quantile.
    let beyond = 1.645 + 1.524 / dof as f64;
    dof.checked_sub(1).and_then(|row| QUANTILES.get(row)).copied().unwrap_or(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(values: &[f64]) -> Curve {
        Curve {
            mean: values.to_vec(),
            low: vec![0.0; values.len()],
            high: vec![9.0; values.len()],
            ..Curve::default()
        }
    }

    #[test]
    fn three_seeds_have_students_interval() {
        let curves = [seed(&[1.0, 0.0]), seed(&[2.0, 0.0]), seed(&[3.0, 0.3])];
        let curve = averaged(&curves.iter().collect::<Vec<_>>(), f64::INFINITY);
        // scipy.stats.t.interval(0.9, 2, loc=2, scale=scipy.stats.sem([1, 2, 3])) = (0.3141, 3.6859)
        assert!((curve.low[0] - 0.3141).abs() < 1e-3 && (curve.high[0] - 3.6859).abs() < 1e-3, "{curve:?}");
        assert!(curve.low[1] == 0.0 && curve.high[1] > 0.3, "cut at zero: {curve:?}");
        let curve = overlaid(&curves.iter().collect::<Vec<_>>());
        assert_eq!((curve.low, curve.high), (vec![1.0, 0.0], vec![3.0, 0.3]));
    }

    #[test]
    fn an_accuracy_ends_at_one() {
        let curves = [seed(&[0.9, 0.2]), seed(&[1.0, 0.0])];
        let curve = averaged(&curves.iter().collect::<Vec<_>>(), 1.0);
        assert_eq!((curve.high[0], curve.low[1]), (1.0, 0.0));
    }

    #[test]
    fn one_seed_keeps_its_own_interval() {
        let only = seed(&[1.0]);
        assert_eq!(averaged(&[&only], 1.0), only);
        assert_eq!(overlaid(&[&only]), only);
    }

    #[test]
    fn a_diverged_seed_is_not_hidden() {
        let curves = [seed(&[1.0]), seed(&[f64::NAN])];
        let curve = averaged(&curves.iter().collect::<Vec<_>>(), f64::INFINITY);
        assert!(curve.mean[0].is_nan() && curve.low[0].is_nan(), "{curve:?}");
        assert!(span(&[1.0, f64::NAN])[0].is_nan());
    }

    #[test]
    fn beyond_the_table_the_quantile_goes_on() {
        assert!((student_95(31) - 1.6955).abs() < 2e-3 && (student_95(100_000) - 1.645).abs() < 1e-3);
    }
}
