//! Any number of loops between two.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Depth, MOST_LOOPS};
use crate::{Problems, Rng};

/// Each number of loops between two, as likely as any other.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UniformDepth {
    /// Fewest loops.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub from: usize,
    /// Most loops; a model is evaluated at as many.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub to: usize,
}

#[typetag::serde(name = "uniform")]
impl Depth for UniformDepth {
    fn validate(&self, problems: &mut Problems) {
        let Self { from, to } = *self;
        problems.require_in(from, 1..=MOST_LOOPS, "from");
        problems.require(from <= to && to <= MOST_LOOPS, "to", || {
            format!("is {to}; allowed: from, {from}, to {MOST_LOOPS}")
        });
    }

    fn draw(&self, _: usize, rng: &mut Rng) -> usize {
        self.from + rng.below(self.to.saturating_sub(self.from) + 1)
    }

    fn most(&self, _: usize) -> usize {
        self.to
    }

    fn mean(&self, _: usize, of: &dyn Fn(usize) -> f64) -> f64 {
        (self.from..=self.to).map(of).sum::<f64>() / (self.to.saturating_sub(self.from) + 1) as f64
    }
}

crate::register!(Depth, "uniform", UniformDepth);
