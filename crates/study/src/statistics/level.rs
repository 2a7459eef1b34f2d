//! The error of one variant.

use super::contrast::mean_of;
use super::{Confidence, Interval};

/// What a score is averaged over seeds as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Errors: geometrically.
    Errors,
    /// Accuracies, from 0 to 1: arithmetically.
    Accuracies,
}

/// The mean score of a variant's runs with its interval. `of_runs` holds the score of each run on all prompts and then
/// on each resample of them.
///
/// Of one run it is over the prompts alone; without resamples it is over the seeds alone.
#[must_use]
pub fn level(of_runs: &[&[f64]], scale: Scale) -> Interval {
    let resamples = of_runs.iter().map(|scores| scores.len()).min().unwrap_or(0);
    let part = |resample: usize| {
        let scores = of_runs.iter().map(|scores| scores[resample]);
        match scale {
            Scale::Errors => mean_of(&scores.map(f64::ln).collect::<Vec<_>>()),
            Scale::Accuracies => mean_of(&scores.collect::<Vec<_>>()),
        }
    };
    let Some(confidence) = Confidence::of((0..resamples).map(part).collect()) else {
        return Interval::UNKNOWN;
    };
    match scale {
        Scale::Errors => confidence.interval().map(f64::exp),
        Scale::Accuracies => confidence.interval().map(|accuracy| accuracy.clamp(0.0, 1.0)),
    }
}
