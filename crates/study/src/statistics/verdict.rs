//! What a ratio of errors says.

use super::{Contrast, Pairing, SIGNIFICANCE, holm};

/// What a comparison shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The error is less.
    Better,
    /// The error is greater.
    Worse,
    /// The errors differ by less than the margin.
    Equal,
    /// The data show none of the three.
    Undecided,
}

/// A contrast with its verdict.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// The probability of a ratio as far from 1 as this if there were no difference; NaN where that can't be said.
    pub p: f64,
    /// The same after Holm's correction for all comparisons made together.
    pub p_holm: f64,
    /// What is shown.
    pub verdict: Verdict,
}

/// The verdicts of comparisons made together; errors that differ by less than a factor `margin` count as equal.
///
/// *Better* and *worse* have a two-sided p, and *equal* the greater of two one-sided ones, below [`SIGNIFICANCE`] after
/// Holm's correction. Where one seed, or an error that isn't finite, leaves the spread between seeds unknown, nothing is
/// decided.
#[must_use]
pub fn judge(contrasts: &[&Contrast], margin: f64) -> Vec<Judged> {
    let known = |contrast: &Contrast| match contrast.pairing {
        Pairing::OneSeed => None,
        _ => contrast.log_ratio.clone(),
    };
    let (mut differs, mut equals, mut less) = (Vec::new(), Vec::new(), Vec::new());
    for contrast in contrasts {
        let known = known(contrast);
        let below = |value: f64| known.as_ref().map_or(f64::NAN, |of| of.below(value));
        differs.push(2.0 * below(0.0).min(1.0 - below(0.0)));
        equals.push((1.0 - below(margin.ln())).max(below(-margin.ln())));
        less.push(known.as_ref().is_some_and(|of| of.whole().centre < 0.0));
    }
    let (differ, equal) = (holm(&differs), holm(&equals));
    let verdict = |i: usize| {
        // What isn't a number is below nothing.
        match (equal[i] < SIGNIFICANCE, differ[i] < SIGNIFICANCE) {
            (true, _) => Verdict::Equal,
            (_, true) if less[i] => Verdict::Better,
            (_, true) => Verdict::Worse,
            _ => Verdict::Undecided,
        }
    };
    (0..contrasts.len()).map(|i| Judged { p: differs[i], p_holm: differ[i], verdict: verdict(i) }).collect()
}

impl Verdict {
    /// In words, as in `equal within 1.1`.
    #[must_use]
    pub fn words(self, margin: f64) -> String {
        match self {
            Self::Better => "better".to_owned(),
            Self::Worse => "worse".to_owned(),
            Self::Equal => format!("equal within {margin}"),
            Self::Undecided => "undecided".to_owned(),
        }
    }
}
