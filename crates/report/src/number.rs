//! Numbers as a reader wants them, three significant digits, and as a program wants them, all digits.

/// `value` to three significant digits: `0.519`, `0.0204`, `1280`, `7.8e-5`; a dash where there is no number.
///
/// ```
/// use looped_report::number::short;
/// assert_eq!(short(0.51923), "0.519");
/// assert_eq!(short(0.00078), "0.000780");
/// assert_eq!(short(1280.0), "1280");
/// assert_eq!(short(1.234e-7), "1.23e-7");
/// assert_eq!(short(f64::NAN), "–");
/// ```
#[must_use]
pub fn short(value: f64) -> String {
    if value.is_nan() {
        return "–".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "-∞" }.into();
    }
    if value == 0.0 {
        return "0".into();
    }
    // Through the scientific form, so that 0.9996 counts as 1.00.
    let scientific = format!("{value:.2e}");
    let exponent: i32 = scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    match exponent {
        -4..=5 => format!("{value:.*}", usize::try_from(2 - exponent).unwrap_or(0)),
        _ => scientific,
    }
}

/// A mean with its interval, `0.0242 [0.0230, 0.0255]`; the mean alone where the interval is missing.
#[must_use]
pub fn with_interval(mean: f64, low: f64, high: f64) -> String {
    if low.is_nan() || high.is_nan() {
        return short(mean);
    }
    format!("{} [{}, {}]", short(mean), short(low), short(high))
}

/// `value` for another program: as few digits as tell it from every other number; nothing where there is none.
///
/// ```
/// use looped_report::number::exact;
/// assert_eq!([0.1, 2.0 / 3.0, 1e-9, 20_000.0, f64::NAN].map(exact), ["0.1", "0.6666666666666666", "1e-9", "20000", ""]);
/// ```
#[must_use]
pub fn exact(value: f64) -> String {
    if value.is_nan() {
        String::new()
    } else if value == 0.0 || value.is_infinite() || (1e-5..1e15).contains(&value.abs()) {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_may_carry() {
        assert_eq!(short(0.9996), "1.00");
        assert_eq!(short(-0.05), "-0.0500");
        assert_eq!(short(123_456.0), "123456");
        assert_eq!(short(9.5e6), "9.50e6");
    }

    #[test]
    fn an_interval_follows_its_mean() {
        assert_eq!(with_interval(0.0242, 0.023, 0.0255), "0.0242 [0.0230, 0.0255]");
        assert_eq!(with_interval(2.0, f64::NAN, 3.0), "2.00");
    }
}
