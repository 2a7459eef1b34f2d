//! What nets read from, and what they are to read: numbers of each prompt.

/// A vector for each prompt, one after another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rows {
    /// (prompts, width)
    pub(crate) values: Vec<f32>,
    pub(crate) width: usize,
}

impl Rows {
    pub(crate) fn count(&self) -> usize {
        self.values.len() / self.width
    }

    pub(crate) fn of(&self, prompt: usize) -> &[f32] {
        &self.values[prompt * self.width..][..self.width]
    }

    /// The mean of all rows.
    pub(crate) fn mean(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.width];
        for row in self.values.chunks_exact(self.width) {
            sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        sums.into_iter().map(|sum| sum / self.count() as f64).collect()
    }
}

/// The state after a loop of every prompt: (prompts, tokens, width).
#[derive(Debug)]
pub(crate) struct States {
    pub(crate) values: Vec<f32>,
    pub(crate) tokens: usize,
    pub(crate) width: usize,
}

impl States {
    /// The states of a prompt's tokens.
    pub(crate) fn tokens_of(&self, prompt: usize) -> impl Iterator<Item = &[f32]> {
        let len = self.tokens * self.width;
        self.values[prompt * len..][..len].chunks_exact(self.width)
    }
}

/// The squared distance of a row from a point.
pub(crate) fn squared_distance(row: &[f32], point: impl Iterator<Item = f64>) -> f64 {
    row.iter().zip(point).map(|(&a, b)| (f64::from(a) - b).powi(2)).sum()
}
