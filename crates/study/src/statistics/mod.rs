//! Is B better than A, and by how much? Ratios of errors, paired by seed and prompt.
//!
//! Errors are positive and vary by factors, so everything here works on their logarithms: a variant's error is the
//! geometric mean over its seeds, and two variants are compared by the ratio of theirs. Two things make such a number
//! uncertain, and every interval is over both:
//!
//! - **the seeds**, of which there are few. Their logarithms are taken as normal, so that Student's t gives the interval
//!   ([`TwoWay`] pools the variance of three variants or more).
//! - **the prompts**, of which there are many, with errors of heavy tails. They are resampled, the same ones for all runs.
//!
//! In each resample of the prompts Student's t gives a distribution of the logarithm; their mixture is the
//! [`Confidence`] whose quantiles are the interval and whose tails are the p-values. (To resample three seeds as well
//! would give intervals that hold the truth in 71 of 100 cases, not 90: see `docs/statistics.md`.)

mod confidence;
mod contrast;
mod holm;
mod level;
mod power;
mod two_way;
mod verdict;

pub use confidence::{Confidence, Interval, Part};
pub use contrast::{Contrast, Pairing, Run, contrasts};
pub use holm::holm;
pub use level::{Scale, level};
pub use power::{Spread, power, seeds_to_show};
pub use two_way::TwoWay;
pub use verdict::{Judged, Verdict, judge};

/// The probability that an interval is made to hold.
pub const CONFIDENCE: f64 = 0.9;

/// A verdict is wrong with at most this probability, over all comparisons of a table.
pub const SIGNIFICANCE: f64 = 0.05;
