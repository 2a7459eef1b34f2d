//! Where an axis has ticks, and what they say.

use super::Scale;
use super::axis::Axis;

/// A tick; a minor one says nothing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: Option<Label>,
}

/// A short text with an exponent, which may be empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Label {
    pub(super) text: String,
    pub(super) power: String,
}

impl Label {
    /// Words alone.
    pub(super) fn words(text: &str) -> Self {
        Self { text: crate::escape::one_line(text), power: String::new() }
    }
}

/// The ticks of `axis`, about `count` of them labelled. An axis that ends before its values do says so at that end.
pub(super) fn ticks(axis: &Axis, count: f64) -> Vec<Tick> {
    let mut ticks = match axis.scale {
        Scale::Linear => linear(axis, count),
        Scale::Log => logarithmic(axis, count),
    };
    if axis.clipped {
        let at_edge = ticks.iter_mut().find(|tick| axis.place(tick.at) < AT_EDGE);
        if let Some(label) = at_edge.and_then(|tick| tick.label.as_mut()) {
            label.text.insert_str(0, "≤ ");
        }
    }
    if axis.capped {
        ticks.retain(|tick| axis.place(tick.at) < 1.0 - AT_EDGE);
        // Room for the label at the very end.
        for tick in ticks.iter_mut().filter(|tick| axis.place(tick.at) > 1.0 - 0.4 / count) {
            tick.label = None;
        }
        let unit = power_of_ten(axis.high.abs().log10().floor() as i32);
        let mut label = plain(axis.high, unit, axis.high);
        label.text.insert_str(0, "≥ ");
        ticks.push(Tick { at: axis.high, label: Some(label) });
    }
    ticks
}

/// Places this near are one.
const AT_EDGE: f64 = 1e-6;

/// Multiples of 1, 2 or 5 times a power of ten.
fn linear(axis: &Axis, count: f64) -> Vec<Tick> {
    let rough = (axis.high - axis.low) / count;
    let decade = 10_f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0].map(|m| m * decade).into_iter().find(|&s| s >= 0.75 * rough).unwrap_or(10.0 * decade);
    let step = if axis.whole { step.max(1.0) } else { step };
    let (first, last) = ((axis.low / step - 1e-9).ceil() as i64, (axis.high / step + 1e-9).floor() as i64);
    let greatest = axis.low.abs().max(axis.high.abs());
    (first..=last)
        .map(|i| Tick { at: i as f64 * step, label: Some(plain(i as f64 * step, step, greatest)) })
        .collect()
}

/// Powers of ten, with the multiples between as minor ticks; where there are few powers, the multiples by 2 and 5 say
/// what they are; where there are hardly any of these, as on a linear axis.
fn logarithmic(axis: &Axis, count: f64) -> Vec<Tick> {
    let inside = |v: f64| (axis.low * (1.0 - 1e-9)..=axis.high * (1.0 + 1e-9)).contains(&v);
    let exponents = (axis.low.log10() + 1e-9).floor() as i32..=(axis.high.log10() + 1e-9).floor() as i32;
    let powers: Vec<i32> = exponents.clone().filter(|&e| inside(power_of_ten(e))).collect();
    let multiples = |by: &[u8]| -> Vec<f64> {
        let of = |e| by.iter().map(move |&m| f64::from(m) * power_of_ten(e));
        exponents.clone().flat_map(of).filter(|&v| inside(v)).collect()
    };
    if powers.len() <= 2 {
        let labelled = multiples(&[1, 2, 5]);
        if labelled.len() < 3 {
            return linear(axis, count);
        }
        let label = |v: f64| {
            labelled.contains(&v).then(|| plain(v, power_of_ten(v.log10().floor() as i32), axis.high))
        };
        return multiples(&[1, 2, 3, 4, 5, 6, 7, 8, 9])
            .into_iter()
            .map(|v| Tick { at: v, label: label(v) })
            .collect();
    }
    let every = (powers.len() as f64 / count).ceil().max(1.0) as i32;
    let as_powers = powers.iter().any(|e| !(-2..=4).contains(e));
    let major = powers.iter().map(|&e| {
        let label = (e.rem_euclid(every) == 0).then(|| match as_powers {
            true => Label { text: "10".into(), power: signed(e.to_string()) },
            false => plain(power_of_ten(e), power_of_ten(e), 1.0),
        });
        Tick { at: power_of_ten(e), label }
    });
    let minor = if powers.len() <= 8 { multiples(&[2, 3, 4, 5, 6, 7, 8, 9]) } else { Vec::new() };
    major.chain(minor.into_iter().map(|at| Tick { at, label: None })).collect()
}

/// `value` with the decimals a step needs. On an axis that goes up to thousands (`k`) or millions (`M`) it counts
/// these; on one of greater or of minute values it is a multiple of a power of ten.
fn plain(value: f64, step: f64, greatest: f64) -> Label {
    if value == 0.0 {
        return Label { text: "0".into(), power: String::new() };
    }
    let (unit, suffix) = match greatest {
        ..9e-4 | 1e9.. => {
            // The power below up to twice itself: 2×10¹² to 12×10¹², not 0.2×10¹³ to 1.2×10¹³.
            let exponent = ((greatest / 2.0).log10() + 1e-9).floor() as i32;
            let unit = power_of_ten(exponent);
            let text = signed(format!("{:.*}×10", decimals(step / unit), value / unit));
            return Label { text, power: signed(exponent.to_string()) };
        }
        ..9999.0 => (1.0, ""),
        ..999_999.0 => (1e3, "k"),
        _ => (1e6, "M"),
    };
    Label {
        text: signed(format!("{:.*}{suffix}", decimals(step / unit), value / unit)),
        power: String::new(),
    }
}

/// The decimals that tell multiples of `step` apart.
fn decimals(step: f64) -> usize {
    (-(step.log10() + 1e-9).floor()).max(0.0) as usize
}

pub(super) fn power_of_ten(exponent: i32) -> f64 {
    // Parsed, and so the nearest number there is; `powi` may miss it by a bit.
    format!("1e{exponent}").parse().unwrap_or(f64::NAN)
}

/// With a minus sign as printers set it.
fn signed(number: String) -> String {
    number.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, low: f64, high: f64) -> String {
        let axis = Axis { scale, low, high, whole: false, clipped: false, capped: false };
        let said = ticks(&axis, 5.0).into_iter().filter_map(|tick| tick.label);
        let text = |label: Label| match label.power.as_str() {
            "" => label.text,
            power => format!("{}^{power}", label.text),
        };
        said.map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(labels(Scale::Linear, 0.0, 40.0), "0 10 20 30 40");
        assert_eq!(labels(Scale::Linear, 0.0, 1.05), "0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(labels(Scale::Linear, -0.3, 0.3), "−0.3 −0.2 −0.1 0 0.1 0.2 0.3");
        assert_eq!(labels(Scale::Linear, 0.0, 500_000.0), "0 100k 200k 300k 400k 500k");
        assert_eq!(labels(Scale::Linear, 0.0, 20_001.0), "0 5k 10k 15k 20k");
        assert_eq!(labels(Scale::Linear, 0.0, 2.4e15), "0 0.5×10^15 1.0×10^15 1.5×10^15 2.0×10^15");
        assert_eq!(
            labels(Scale::Linear, 0.0, 1.25e13),
            "0 2×10^12 4×10^12 6×10^12 8×10^12 10×10^12 12×10^12"
        );
        assert_eq!(
            labels(Scale::Linear, 0.0, 3e-5),
            "0 0.5×10^−5 1.0×10^−5 1.5×10^−5 2.0×10^−5 2.5×10^−5 3.0×10^−5"
        );
        assert_eq!(labels(Scale::Linear, 0.80, 0.93), "0.80 0.82 0.84 0.86 0.88 0.90 0.92");
    }

    #[test]
    fn logarithmic_ticks_are_powers_of_ten() {
        assert_eq!(labels(Scale::Log, 1e-4, 1.1), "10^−4 10^−3 10^−2 10^−1 10^0");
        assert_eq!(labels(Scale::Log, 1.0, 500.0), "1 10 100");
        assert_eq!(labels(Scale::Log, 0.012, 1.3), "0.02 0.05 0.1 0.2 0.5 1");
        assert_eq!(labels(Scale::Log, 0.3, 0.9), "0.3 0.4 0.5 0.6 0.7 0.8 0.9");
        assert_eq!(labels(Scale::Log, 1e-10, 1.0), "10^−9 10^−6 10^−3 10^0");
    }

    #[test]
    fn whole_values_have_whole_ticks() {
        let axis =
            Axis { scale: Scale::Linear, low: -0.1, high: 3.1, whole: true, clipped: false, capped: false };
        let places: Vec<f64> = ticks(&axis, 9.0).iter().map(|tick| tick.at).collect();
        assert_eq!(places, [0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn minor_ticks_stand_between() {
        let axis =
            Axis { scale: Scale::Log, low: 1e-4, high: 1.0, whole: false, clipped: false, capped: false };
        let minor = ticks(&axis, 5.0).iter().filter(|tick| tick.label.is_none()).count();
        assert_eq!(minor, 4 * 8);
    }
    #[test]
    fn an_axis_that_ends_before_its_values_says_so() {
        let said = |scale, low, high| {
            let axis = Axis { scale, low, high, whole: false, clipped: scale == Scale::Log, capped: true };
            let labels = ticks(&axis, 5.0).into_iter().filter_map(|tick| tick.label);
            labels.map(|label| format!("{}{}", label.text, label.power)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(said(Scale::Linear, 0.0, 5.0), "0 1 2 3 4 ≥ 5");
        assert_eq!(said(Scale::Log, 1e-3, 5.0), "≤ 10−3 10−2 10−1 100 ≥ 5");
        assert_eq!(said(Scale::Log, 1e-6, 1.0), "≤ 10−6 10−4 10−2 ≥ 1");
    }
}
