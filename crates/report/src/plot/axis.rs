//! The range of an axis, and the place of a value in it.

use super::Scale;

/// A scale with the range it shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) scale: Scale,
    pub(super) low: f64,
    pub(super) high: f64,
    /// The values are whole numbers, and so are its ticks.
    pub(super) whole: bool,
    /// Values too small for the axis are drawn at its low end.
    pub(super) clipped: bool,
    /// Values too great for the axis are drawn at its high end.
    pub(super) capped: bool,
}

/// Nothing smaller is told from zero, and nothing larger than its inverse from infinity.
pub(super) const TINY: f64 = 1e-100;

/// Whether a value has a place on some axis.
pub(super) fn drawable(value: f64) -> bool {
    value.abs() <= 1.0 / TINY
}

/// How much is added where the data should not touch the frame, as a share of the range.
const MARGIN: f64 = 0.05;

/// How far an x axis is extended to a round end, as a share of the range.
const CLOSE: f64 = 0.02;

impl Axis {
    /// From the first value, or from zero close before it, to the last, or to a round number close behind it, with a
    /// margin if `loose`. On a logarithmic axis only positive values count.
    pub(super) fn horizontal(scale: Scale, values: impl Iterator<Item = f64> + Clone, loose: bool) -> Self {
        let values = values.filter(|&v| drawable(v) && (scale == Scale::Linear || v > TINY));
        let (low, high) = range(values.clone());
        let (low, high) = open(scale, low, high);
        let whole = values.clone().next().is_some() && values.clone().all(|v| v.fract() == 0.0);
        let mut axis = Self { scale, low, high, whole, clipped: false, capped: false };
        if scale == Scale::Linear {
            axis.high = round_end(low, high);
            if (0.0..=CLOSE * (high - low)).contains(&low) {
                axis.low = 0.0;
            }
        }
        if loose {
            axis.widen(MARGIN, MARGIN);
        }
        axis
    }

    /// Around all values up to `ceiling`. A linear axis starts at zero where that costs it little; a logarithmic one
    /// starts at the decade below the least value above `floor` if there are others at or below `floor`.
    pub(super) fn vertical(
        scale: Scale,
        values: impl Iterator<Item = f64> + Clone,
        floor: f64,
        ceiling: f64,
    ) -> Self {
        let values = values.filter(|&v| drawable(v));
        let seen = |&v: &f64| scale == Scale::Linear || v > floor.max(TINY);
        let (low, high) = range(values.clone().filter(seen));
        let capped = high > ceiling;
        let above = if capped { 0.0 } else { MARGIN };
        let (low, high) = open(scale, low, high.min(ceiling));
        let mut axis = Self {
            scale,
            low,
            high,
            whole: false,
            clipped: scale == Scale::Log && !values.clone().all(|v| seen(&v)),
            capped,
        };
        if axis.clipped {
            axis.low = 10_f64.powf((low.log10() - 1e-9).floor());
            axis.widen(0.0, above);
        } else if scale == Scale::Linear && (0.0..0.5 * high).contains(&low) {
            axis.low = 0.0;
            axis.widen(0.0, above);
        } else {
            axis.widen(MARGIN, above);
        }
        axis
    }

    /// Where `value` lies: 0 at the low end, 1 at the high end. Too small a value lies at 0 on a logarithmic axis, and
    /// too great a one at 1 on a capped axis; one far outside is brought near, so that no coordinate overflows.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
        };
        place.clamp(-9.0, if self.capped { 1.0 } else { 9.0 })
    }

    fn widen(&mut self, below: f64, above: f64) {
        let (low, high) = (self.low, self.high);
        match self.scale {
            Scale::Linear => {
                self.low -= below * (high - low);
                self.high += above * (high - low);
            }
            Scale::Log => {
                self.low *= (high / low).powf(-below);
                self.high *= (high / low).powf(above);
            }
        }
    }
}

/// Least and greatest; reversed infinities where there are no values.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

/// A range wide enough to be told from a point: around a single value, or a usual one where there is none.
fn open(scale: Scale, low: f64, high: f64) -> (f64, f64) {
    let low = low.min(high);
    let size = low.abs().max(high.abs());
    match scale {
        Scale::Linear if !size.is_finite() => (0.0, 1.0),
        Scale::Linear if size < TINY => (-0.5, 0.5),
        Scale::Linear if high - low < 1e-9 * size => (low - 0.5 * size, high + 0.5 * size),
        Scale::Log if !size.is_finite() => (0.1, 1.0),
        Scale::Log if high / low < 1.0 + 1e-9 => (low / 2.0, high * 2.0),
        _ => (low, high),
    }
}

/// The two-digit number after `high` where it is so close that the axis may as well reach it: 20000 after 19990.
fn round_end(low: f64, high: f64) -> f64 {
    let unit = 10_f64.powf(high.abs().log10().floor() - 1.0);
    let round = (high / unit - 1e-9).ceil() * unit;
    if round - high <= CLOSE * (high - low) { round } else { high }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vertical(scale: Scale, values: &[f64]) -> Axis {
        Axis::vertical(scale, values.iter().copied(), 1e-6, f64::INFINITY)
    }

    #[test]
    fn errors_start_at_zero_and_accuracies_need_not() {
        assert_eq!(vertical(Scale::Linear, &[0.1, 1.0]).low, 0.0);
        assert!(vertical(Scale::Linear, &[0.8, 0.9]).low > 0.7);
        assert!(vertical(Scale::Linear, &[-1.0, 1.0]).low < -1.0);
    }

    #[test]
    fn zeros_and_negatives_lie_on_the_floor_of_a_logarithmic_axis() {
        let axis = vertical(Scale::Log, &[1.0, 3e-4, 1e-15, 0.0, -2.0, f64::NAN]);
        assert!(axis.clipped);
        assert!((axis.low - 1e-4).abs() < 1e-15, "{}", axis.low);
        for v in [1e-15, 0.0, -2.0] {
            assert_eq!(axis.place(v), 0.0);
        }
        assert!(!vertical(Scale::Log, &[1.0, 3e-4]).clipped);
    }

    #[test]
    fn the_ceiling_caps_divergence() {
        let axis = Axis::vertical(Scale::Log, [0.1, 1e30, 1e300, f64::INFINITY].into_iter(), 1e-6, 10.0);
        assert_eq!((axis.high, axis.capped), (10.0, true));
        assert_eq!(axis.place(1e30), 1.0, "drawn on the edge");
    }

    #[test]
    fn nothing_or_one_value_still_makes_an_axis() {
        for scale in [Scale::Linear, Scale::Log] {
            for values in [
                &[][..],
                &[f64::NAN],
                &[0.0, 0.0],
                &[2.0],
                &[-3.0],
                &[1e300],
                &[1e90],
                &[1e-310, 2e-310],
                &[1.0, 1.0 + 1e-15],
            ] {
                let axis = vertical(scale, values);
                assert!(
                    axis.low < axis.high && axis.low.is_finite() && axis.high.is_finite(),
                    "{scale:?} {values:?} {axis:?}"
                );
            }
        }
    }

    #[test]
    fn an_x_axis_is_tight_unless_loose() {
        let x = || [1.0, 500.0, 0.0, -1.0].into_iter();
        assert_eq!(Axis::horizontal(Scale::Log, x(), false).low, 1.0);
        assert_eq!(Axis::horizontal(Scale::Linear, x(), false).low, -1.0);
        assert!(Axis::horizontal(Scale::Linear, x(), true).high > 500.0);
        let end = |last: f64| Axis::horizontal(Scale::Linear, [0.0, last].into_iter(), false).high;
        assert_eq!([19_990.0, 20_001.0, 40.0, 3.0, 0.0].map(end), [20_000.0, 20_001.0, 40.0, 3.0, 0.5]);
        let start = |first: f64| Axis::horizontal(Scale::Linear, [first, 40.0].into_iter(), false).low;
        assert_eq!([0.5, 1.0, -0.5].map(start), [0.0, 1.0, -0.5]);
    }
}
