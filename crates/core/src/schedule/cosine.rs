//! Up a line, then down half a cosine.

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Schedule, progress, require_room, warming_up};
use crate::Problems;

/// The rate rises over the warm-up, then falls along half a cosine to its last factor (arXiv 1608.03983, without restarts).
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cosine {
    /// Steps over which the rate rises from 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub warmup: usize,
    /// Factor of the learning rate at the last step.
    #[serde(default, rename = "final")]
    #[schemars(range(min = 0, max = 1))]
    pub last: f64,
}

#[typetag::serde(name = "cosine")]
impl Schedule for Cosine {
    fn validate(&self, steps: usize, problems: &mut Problems) {
        require_room(&[("warmup", self.warmup)], self.last, steps, problems);
    }

    fn factor(&self, step: usize, steps: usize) -> f64 {
        let falling = || {
            // By libm, whose results don't depend on the system's C library.
            let half = 0.5 * (1.0 + libm::cos(PI * progress(step, self.warmup, steps)));
            self.last + (1.0 - self.last) * half
        };
        warming_up(step, self.warmup).unwrap_or_else(falling)
    }
}

crate::register!(Schedule, "cosine", Cosine);
