//! How soon each variant had learnt what all of them learnt in the end.

use crate::comparison::history::ValidationHistory;

/// A validation loss that every variant came down to, and how many steps each had done when it first had.
#[derive(Debug, PartialEq)]
pub(crate) struct Reached {
    pub(crate) loss: f64,
    pub(crate) steps: Vec<usize>,
}

/// Fewer validations than this tell the first and the last step at best.
const ENOUGH: usize = 3;

impl Reached {
    /// Nothing where there is one variant, or one that hardly validated.
    pub(crate) fn of<'a>(histories: impl Iterator<Item = &'a ValidationHistory>) -> Option<Self> {
        let histories: Vec<(&[f64], Vec<f64>)> =
            histories.map(|history| (history.steps.as_slice(), history.mean())).collect();
        let lowest = |losses: &[f64]| losses.iter().copied().fold(f64::INFINITY, f64::min);
        let loss = histories.iter().map(|(_, losses)| lowest(losses)).fold(f64::NEG_INFINITY, f64::max);
        if histories.len() < 2 || histories.iter().any(|(_, losses)| losses.len() < ENOUGH) {
            return None;
        }
        let steps = histories.iter().map(|(steps, losses)| {
            let first = losses.iter().position(|&of| of <= loss)?;
            Some(steps[first] as usize + 1)
        });
        Some(Self { loss, steps: steps.collect::<Option<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(losses: &[f64]) -> ValidationHistory {
        ValidationHistory {
            steps: (0..losses.len()).map(|i| 500.0 * i as f64).collect(),
            of_seeds: vec![losses.to_vec()],
            ..ValidationHistory::default()
        }
    }

    #[test]
    fn the_loss_is_the_one_that_the_slowest_comes_to() {
        let (slow, fast) = (history(&[1.0, 0.8, 0.5, 0.6]), history(&[1.0, 0.45, 0.3, 0.2]));
        let reached = Reached::of([&slow, &fast].into_iter()).unwrap();
        assert_eq!(reached, Reached { loss: 0.5, steps: vec![1001, 501] });
    }

    #[test]
    fn what_cannot_be_told_is_not() {
        let long = history(&[1.0, 0.5, 0.3]);
        for other in [history(&[]), history(&[1.0, 0.2]), history(&[f64::NAN; 3])] {
            assert_eq!(Reached::of([&long, &other].into_iter()), None);
        }
        assert_eq!(Reached::of([&long].into_iter()), None);
    }
}
