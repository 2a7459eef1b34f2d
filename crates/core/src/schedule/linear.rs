//! Up a line, then down a line.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Schedule, progress, require_room, warming_up};
use crate::Problems;

/// The rate rises over the warm-up, then falls along a line to its last factor.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Steps over which the rate rises from 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub warmup: usize,
    /// Factor of the learning rate at the last step.
    #[serde(default, rename = "final")]
    #[schemars(range(min = 0, max = 1))]
    pub last: f64,
}

#[typetag::serde(name = "linear")]
impl Schedule for Linear {
    fn validate(&self, steps: usize, problems: &mut Problems) {
        require_room(&[("warmup", self.warmup)], self.last, steps, problems);
    }

    fn factor(&self, step: usize, steps: usize) -> f64 {
        let falling = || 1.0 - (1.0 - self.last) * progress(step, self.warmup, steps);
        warming_up(step, self.warmup).unwrap_or_else(falling)
    }
}

crate::register!(Schedule, "linear", Linear);
