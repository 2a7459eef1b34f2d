//! Huginn's draw of the depth (Geiping et al., arXiv 2502.05171, section 3.3).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Depth, MOST_LOOPS};
use crate::{Problems, Rng};

/// 1 + Poisson(rate) loops, the rate itself drawn from a lognormal: mostly few, sometimes many (arXiv 2502.05171).
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoissonLognormal {
    /// Mean of the rate: that of the loops is 1 more.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub mean: f64,
    /// Standard deviation of the rate's logarithm.
    #[serde(default = "sigma")]
    #[schemars(range(min = 0, max = 10))]
    pub sigma: f64,
    /// Most loops: larger draws are this.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub most: usize,
}

const fn sigma() -> f64 {
    0.5
}

#[typetag::serde(name = "poisson_lognormal")]
impl Depth for PoissonLognormal {
    fn validate(&self, problems: &mut Problems) {
        let Self { mean, sigma, most } = *self;
        problems.require_in(sigma, 0.0..=10.0, "sigma");
        problems.require_in(most, 1..=MOST_LOOPS, "most");
        problems.require(mean > 0.0 && mean <= most as f64, "mean", || {
            format!("is {mean}; allowed: above 0, at most `most`, {most}")
        });
    }

    fn draw(&self, _: usize, rng: &mut Rng) -> usize {
        // exp(mu + sigma z) with mu = ln mean - sigma^2 / 2 has this mean.
        let exponent = self.sigma * rng.normal() - 0.5 * self.sigma * self.sigma;
        let rate = self.mean * libm::exp(exponent);
        // Arrivals of a Poisson process in a time of this length; the gaps between them are exponential.
        let (mut loops, mut time) = (1, -libm::log(1.0 - rng.uniform()));
        while time < rate && loops < self.most {
            loops += 1;
            time -= libm::log(1.0 - rng.uniform());
        }
        loops
    }

    fn most(&self, _: usize) -> usize {
        self.most
    }

    /// The mean: the most is seldom trained.
    fn usual(&self, _: usize) -> usize {
        (1 + self.mean.round() as usize).min(self.most)
    }
}

crate::register!(Depth, "poisson_lognormal", PoissonLognormal);
