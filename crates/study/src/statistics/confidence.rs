//! What is known of a number: a mixture of Student's t distributions.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::CONFIDENCE;

/// A number with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The number.
    pub estimate: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { estimate: f64::NAN, low: f64::NAN, high: f64::NAN };

    /// The interval of an increasing function of the number.
    #[must_use]
    pub fn map(self, of: impl Fn(f64) -> f64) -> Self {
        Self { estimate: of(self.estimate), low: of(self.low), high: of(self.high) }
    }
}

/// What the seeds say of a number: Student's t around an estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// The estimate.
    pub centre: f64,
    /// Its standard error; 0 where there is one seed, which says nothing of others.
    pub error: f64,
    /// The degrees of freedom of the standard error.
    pub dof: f64,
}

/// What seeds and prompts say of a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Confidence {
    /// On the prompts as they are.
    whole: Part,
    /// On each resample of the prompts; empty where the prompts are taken as they are.
    resampled: Vec<Part>,
}

impl Confidence {
    /// What `parts` say, the first of all prompts and the others of resamples of them; `None` if one isn't finite.
    #[must_use]
    pub fn of(parts: Vec<Part>) -> Option<Self> {
        let finite = |part: &Part| part.centre.is_finite() && part.error.is_finite();
        let (&whole, resampled) = parts.split_first()?;
        parts.iter().all(finite).then(|| Self { whole, resampled: resampled.to_vec() })
    }

    /// What the seeds say on the prompts as they are.
    #[must_use]
    pub fn whole(&self) -> Part {
        self.whole
    }

    /// The estimate with its interval, of [`CONFIDENCE`].
    #[must_use]
    pub fn interval(&self) -> Interval {
        let tail = (1.0 - CONFIDENCE) / 2.0;
        Interval { estimate: self.whole.centre, low: self.quantile(tail), high: self.quantile(1.0 - tail) }
    }

    /// The variance of the estimate over the resamples of the prompts.
    #[must_use]
    pub fn prompt_variance(&self) -> f64 {
        if self.resampled.is_empty() {
            return 0.0;
        }
        let count = self.resampled.len() as f64;
        let mean = self.resampled.iter().map(|part| part.centre).sum::<f64>() / count;
        self.resampled.iter().map(|part| (part.centre - mean).powi(2)).sum::<f64>() / count
    }

    /// The probability that the number is below `value`.
    #[must_use]
    pub fn below(&self, value: f64) -> f64 {
        let below = |part: &Part| match student(part.dof) {
            Some(student) if part.error > 0.0 => student.cdf((value - part.centre) / part.error),
            _ if part.centre < value => 1.0,
            _ if part.centre > value => 0.0,
            _ => 0.5,
        };
        let parts = self.parts();
        parts.iter().map(below).sum::<f64>() / parts.len() as f64
    }

    /// The value that the number is below with probability `level`.
    #[must_use]
    pub fn quantile(&self, level: f64) -> f64 {
        let parts = self.parts();
        let mut ends: Vec<f64> = parts.iter().map(|part| part.centre + reach(part, level)).collect();
        ends.sort_unstable_by(f64::total_cmp);
        if parts.iter().all(|part| part.error == 0.0) {
            return between(&ends, level);
        }
        // A mixture's quantile lies between the least and the greatest of its parts'.
        let (mut low, mut high) = (ends[0], ends[ends.len() - 1]);
        let tolerance = 1e-9 * (1.0 + high.abs().max(low.abs()));
        let (mut under, mut over) = (self.below(low) - level, self.below(high) - level);
        // False position, halving the weight of an end that stays (the Illinois rule).
        while high - low > tolerance && under < 0.0 && over > 0.0 {
            let middle = (low * over - high * under) / (over - under);
            let found = self.below(middle) - level;
            if found.abs() < 1e-10 {
                return middle;
            }
            if found < 0.0 {
                (low, under, over) = (middle, found, over / 2.0);
            } else {
                (high, over, under) = (middle, found, under / 2.0);
            }
        }
        if -under < over { low } else { high }
    }

    fn parts(&self) -> &[Part] {
        if self.resampled.is_empty() { std::slice::from_ref(&self.whole) } else { &self.resampled }
    }
}

/// How far a part's quantile is from its centre.
fn reach(part: &Part, level: f64) -> f64 {
    match student(part.dof) {
        Some(student) if part.error > 0.0 => part.error * student.inverse_cdf(level),
        _ => 0.0,
    }
}

/// Student's t of some degrees of freedom, above 0.
fn student(dof: f64) -> Option<StudentsT> {
    StudentsT::new(0.0, 1.0, dof).ok()
}

/// The quantile of sorted values, linear between neighbours.
fn between(sorted: &[f64], level: f64) -> f64 {
    let position = level * (sorted.len() - 1) as f64;
    let below = sorted[position as usize];
    let above = sorted[(position as usize + 1).min(sorted.len() - 1)];
    below + position.fract() * (above - below)
}
