//! Many comparisons at once.

/// Holm's correction: p-values such that calling what is below 5 % a difference is wrong anywhere with at most 5 %.
///
/// What is not a number is no comparison, and stays.
#[must_use]
pub fn holm(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).filter(|&i| !values[i].is_nan()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut corrected = vec![f64::NAN; values.len()];
    let mut least = 0.0;
    for (rank, &i) in order.iter().enumerate() {
        least = f64::max(least, values[i] * (order.len() - rank) as f64).min(1.0);
        corrected[i] = least;
    }
    corrected
}
