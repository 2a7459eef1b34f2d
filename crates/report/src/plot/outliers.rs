//! Where a y axis ends, so that what diverges does not flatten all the rest.

use super::ticks::power_of_ten;
use super::{Curve, Figure, Intervals};

/// Values this many times above the greatest ordinary one are cut off.
const FAR: f64 = 10.0;
/// The axis then ends at this many times the greatest ordinary value, or at the next round number.
const ROOM: f64 = 3.0;
/// A value this many times above the median is no ordinary one.
const WILD: f64 = 30.0;

impl Figure {
    /// Sets [`Figure::ceiling`] where some value is more than ten times above all ordinary ones: the values that curves
    /// start from, as a model before its first loop or example, or all values where points are single results with bars.
    /// Ordinary is what is at most 30 times the median of these.
    #[must_use]
    pub fn cap_outliers(self) -> Self {
        let starts = |curve: &Curve| curve.band.mean.iter().copied().find(|v| v.is_finite());
        let ordinary: Vec<f64> = match self.intervals {
            Intervals::Shade => self.curves.iter().filter_map(starts).collect(),
            Intervals::Bars => self.curves.iter().flat_map(|curve| curve.band.mean.clone()).collect(),
        };
        let ceiling = ceiling(ordinary, self.curves.iter().flat_map(Curve::heights));
        Self { ceiling, ..self }
    }
}

/// The end of an axis that shows the ordinary values well, where some of `all` is far above them.
pub(super) fn ceiling(mut ordinary: Vec<f64>, all: impl Iterator<Item = f64>) -> Option<f64> {
    ordinary.retain(|value| value.is_finite() && *value > 0.0);
    ordinary.sort_by(f64::total_cmp);
    let median = *ordinary.get(ordinary.len() / 2)?;
    let greatest = ordinary.into_iter().rfind(|value| *value <= WILD * median)?;
    let most = all.filter(|value| value.is_finite()).fold(0.0, f64::max);
    (most > FAR * greatest).then(|| round_up(ROOM * greatest))
}

/// The next number of 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let unit = power_of_ten(value.log10().floor() as i32);
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * unit);
    steps.into_iter().find(|&step| step >= value * (1.0 - 1e-9)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::super::Band;
    use super::*;

    fn capped(curves: &[&[f64]], intervals: Intervals) -> Option<f64> {
        let curve = |mean: &&[f64]| Curve::model("m", vec![0.0; mean.len()], Band::line(mean.to_vec()));
        let curves = curves.iter().map(curve).collect();
        Figure { curves, intervals, ..Figure::new("", "", "") }.cap_outliers().ceiling
    }

    #[test]
    fn a_peak_far_above_all_starts_is_cut_off_at_a_round_number() {
        assert_eq!(capped(&[&[1.0, 0.5, 105.0, 0.1], &[1.0, 0.2]], Intervals::Shade), Some(5.0));
        assert_eq!(capped(&[&[1.0, 0.1, f64::NAN, 1e30]], Intervals::Shade), Some(5.0));
    }

    #[test]
    fn what_stays_near_is_left_alone() {
        assert_eq!(capped(&[&[1.0, 9.0], &[0.01]], Intervals::Shade), None);
        assert_eq!(capped(&[], Intervals::Shade), None);
        assert_eq!(capped(&[&[f64::NAN], &[0.0]], Intervals::Shade), None);
    }

    #[test]
    fn one_curve_that_starts_at_a_thousand_does_not_lift_the_axis() {
        assert_eq!(capped(&[&[1.0], &[1.1], &[1000.0, 2000.0]], Intervals::Shade), Some(5.0));
    }

    #[test]
    fn of_single_results_the_diverged_one_is_cut_off() {
        assert_eq!(capped(&[&[1000.0, 0.02, 0.04, 0.01]], Intervals::Bars), Some(0.2));
    }
}
