//! What a comparison is asked for.

use crate::{Result, StudyError};

/// What to compare with what.
#[derive(Clone, Debug, PartialEq)]
pub struct CompareOptions {
    /// The variant that the others are divided by; not given: the first.
    pub against: Option<String>,
    /// Errors that differ by less than this factor count as equal.
    pub margin: f64,
    /// The numbers of in-context examples in the tables; none given: d, 2d and the most there are.
    pub examples: Vec<usize>,
    /// The name of saved evaluations; not given: those that the runs ended with.
    pub evaluation: Option<String>,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { against: None, margin: 1.1, examples: Vec::new(), evaluation: None }
    }
}

impl CompareOptions {
    pub(crate) fn check(&self) -> Result<()> {
        if self.margin > 1.0 && self.margin.is_finite() {
            return Ok(());
        }
        Err(StudyError::Refused(format!(
            "--margin is {}; allowed: a factor above 1, as 1.1 for a difference of 10 %",
            self.margin
        )))
    }

    /// The place of the variant to compare with.
    pub(crate) fn place(&self, names: &[&str]) -> Result<usize> {
        let Some(against) = &self.against else { return Ok(0) };
        names.iter().position(|name| name == against).ok_or_else(|| {
            StudyError::Refused(format!(
                "--against {against}: there is no such variant; allowed: {}",
                names.join(", ")
            ))
        })
    }

    /// The numbers of examples of the tables, of those below `points`.
    pub(crate) fn counts(&self, dims: usize, points: usize) -> Result<Vec<usize>> {
        let last = points.saturating_sub(1);
        let mut counts = if self.examples.is_empty() {
            [dims, dims.saturating_mul(2), last].into_iter().filter(|&count| count <= last).collect()
        } else {
            self.examples.clone()
        };
        counts.sort_unstable();
        counts.dedup();
        match counts.iter().find(|&&count| count > last) {
            None => Ok(counts),
            Some(count) => Err(StudyError::Refused(format!(
                "--examples {count}: the runs are scored with 0 to {last} examples"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_numbers_of_examples_are_d_2d_and_the_last() {
        let counts = |dims, points| CompareOptions::default().counts(dims, points).unwrap();
        assert_eq!(counts(5, 21), [5, 10, 20]);
        assert_eq!(counts(5, 11), [5, 10]);
        assert_eq!(counts(usize::MAX, 4), [3]);
    }

    #[test]
    fn what_is_asked_for_and_cannot_be_is_named_with_what_can() {
        let options =
            CompareOptions { against: Some("b".into()), examples: vec![9, 2], ..CompareOptions::default() };
        assert!(options.place(&["a", "c"]).unwrap_err().to_string().contains("allowed: a, c"));
        assert!(options.counts(2, 5).unwrap_err().to_string().contains("--examples 9"));
        let margin = |margin| CompareOptions { margin, ..CompareOptions::default() }.check();
        assert!(margin(1.0).is_err() && margin(f64::NAN).is_err() && margin(1.2).is_ok());
    }
}
