//! How many seeds would show a difference.

use statrs::distribution::{ChiSquared, ContinuousCDF, Normal, StudentsT};

use super::{Contrast, SIGNIFICANCE};

/// A difference that is there should be shown with this probability.
const POWER: f64 = 0.8;

/// More seeds than this are as good as none.
const MOST: usize = 1000;

/// How much the logarithm of a ratio varies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The variance of the logarithm of one run's error around what its variant and its seed have in common.
    pub of_runs: f64,
    /// The variance of the logarithm of a ratio over the choice of the prompts, which more seeds don't lessen.
    pub of_prompts: f64,
    /// How many variants are compared: their residuals are pooled.
    pub variants: usize,
}

impl Spread {
    /// The spread that contrasts of `variants` variants show: the median of theirs; `None` if they have one seed.
    #[must_use]
    pub fn of(contrasts: &[&Contrast], variants: usize) -> Option<Self> {
        let known = contrasts.iter().filter_map(|contrast| {
            let (of, seeds) = (contrast.log_ratio.as_ref()?, contrast.of_seeds.len() as f64);
            // The difference of two runs varies twice as much as one, its mean over the seeds by so much less.
            (seeds > 1.0).then(|| (of.whole().error.powi(2) * seeds / 2.0, of.prompt_variance()))
        });
        let (of_runs, of_prompts): (Vec<f64>, Vec<f64>) = known.unzip();
        Some(Self { of_runs: median(of_runs)?, of_prompts: median(of_prompts)?, variants })
    }
}

/// The least number of seeds at which a true ratio of `ratio` is told from 1 in four of five cases, by a two-sided test
/// at 5 % paired by seed; `None` if that takes more than 1000.
#[must_use]
pub fn seeds_to_show(ratio: f64, spread: Spread) -> Option<usize> {
    (2..=MOST).find(|&seeds| {
        let quantile = |level| spread.quantile(seeds, level);
        ratio.ln().abs() >= (quantile(1.0 - SIGNIFICANCE / 2.0) + quantile(POWER)) * spread.error(seeds)
    })
}

/// The share of cases in which so many seeds tell a true ratio of `ratio` from 1, by the same test.
#[must_use]
pub fn power(ratio: f64, spread: Spread, seeds: usize) -> f64 {
    /// Equally likely values of the estimated variance, over which the share is averaged.
    const VALUES: usize = 1000;
    let dof = spread.freedom(seeds);
    let Ok(variance) = ChiSquared::new(dof) else { return 0.0 };
    let (bound, shift) =
        (spread.quantile(seeds, 1.0 - SIGNIFICANCE / 2.0), ratio.ln().abs() / spread.error(seeds));
    let normal = Normal::standard();
    let shown = |i| {
        let level = (f64::from(i) + 0.5) / VALUES as f64;
        let bound = bound * (variance.inverse_cdf(level) / dof).sqrt();
        normal.cdf(shift - bound) + normal.cdf(-shift - bound)
    };
    (0..VALUES as u32).map(shown).sum::<f64>() / VALUES as f64
}

impl Spread {
    /// Degrees of freedom of the estimated variance.
    fn freedom(self, seeds: usize) -> f64 {
        ((self.variants.max(2) - 1) * (seeds - 1)) as f64
    }

    /// The standard error of the logarithm of a ratio.
    fn error(self, seeds: usize) -> f64 {
        (2.0 * self.of_runs / seeds as f64 + self.of_prompts).sqrt()
    }

    fn quantile(self, seeds: usize, level: f64) -> f64 {
        StudentsT::new(0.0, 1.0, self.freedom(seeds)).map_or(f64::INFINITY, |t| t.inverse_cdf(level))
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
