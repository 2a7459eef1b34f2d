//! The noise that a model's first state may be.

use crate::Rng;

/// What the noise of a model's first state is drawn from.
///
/// A token's numbers depend on the seed, the purpose, the prompt's number and the token's place alone: they are the same in whichever batch,
/// chunk or thread the prompt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise {
    /// The seed.
    pub seed: u64,
    /// What the prompts are for, as in `"training first state"`: each purpose has numbers of its own.
    pub purpose: &'static str,
    /// The number of the first prompt.
    pub first: u64,
}

impl Default for Noise {
    fn default() -> Self {
        Self::new(0, "first state", 0)
    }
}

impl Noise {
    /// That of the prompts from number `first` on.
    #[must_use]
    pub const fn new(seed: u64, purpose: &'static str, first: u64) -> Self {
        Self { seed, purpose, first }
    }

    /// That of the prompts after so many.
    #[must_use]
    pub const fn after(self, prompts: usize) -> Self {
        Self { first: self.first + prompts as u64, ..self }
    }

    /// Fills a row with numbers from N(0, 1): those of a token of the prompt that is `prompt` after the first.
    pub fn fill(self, prompt: usize, token: usize, row: &mut [f32]) {
        let of_prompt = Rng::stream(self.seed, self.purpose, self.first + prompt as u64);
        let mut rng = of_prompt.fork(token as u64);
        row.iter_mut().for_each(|number| *number = rng.normal() as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(noise: Noise, prompt: usize, token: usize) -> Vec<f32> {
        let mut row = vec![0.0; 16];
        noise.fill(prompt, token, &mut row);
        row
    }

    #[test]
    fn a_token_has_the_same_numbers_wherever_its_prompt_is() {
        let noise = Noise::new(7, "test", 5);
        assert_eq!(row(noise, 3, 2), row(noise.after(3), 0, 2));
        let others = [
            row(noise, 4, 2),
            row(noise, 3, 1),
            row(Noise::new(8, "test", 5), 3, 2),
            row(Noise::new(7, "other", 5), 3, 2),
        ];
        others.iter().for_each(|other| assert_ne!(*other, row(noise, 3, 2)));
    }

    #[test]
    fn numbers_are_standard_normal_and_tokens_are_not_alike() {
        let (prompts, tokens) = (200, 50);
        let rows: Vec<Vec<f32>> =
            (0..prompts * tokens).map(|i| row(Noise::default(), i / tokens, i % tokens)).collect();
        let all = || rows.iter().flatten().map(|&z| f64::from(z));
        let count = all().count() as f64;
        let mean = all().sum::<f64>() / count;
        let square = all().map(|z| z * z).sum::<f64>() / count;
        let neighbours = rows.windows(2).flat_map(|pair| pair[0].iter().zip(&pair[1]));
        let covariance = neighbours.map(|(a, b)| f64::from(a * b)).sum::<f64>() / count;
        // Bounds of about 4.5 standard errors, of 160,000 numbers.
        assert!(mean.abs() < 0.012, "{mean}");
        assert!((square - 1.0).abs() < 0.016, "{square}");
        assert!(covariance.abs() < 0.012, "{covariance}");
    }
}
