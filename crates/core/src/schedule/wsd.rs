//! Warm-up, stable, decay.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Schedule, progress, require_room, warming_up};
use crate::Problems;

/// The rate rises over the warm-up, stays, and falls along a line over the last steps (arXiv 2404.06395, section 4).
///
/// Until its decay begins, a run doesn't depend on its length: it can be resumed with more steps.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wsd {
    /// Steps over which the rate rises from 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub warmup: usize,
    /// The last steps, over which it falls.
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub decay: usize,
    /// Factor of the learning rate at the last step.
    #[serde(default, rename = "final")]
    #[schemars(range(min = 0, max = 1))]
    pub last: f64,
}

#[typetag::serde(name = "wsd")]
impl Schedule for Wsd {
    fn validate(&self, steps: usize, problems: &mut Problems) {
        require_room(&[("warmup", self.warmup), ("decay", self.decay)], self.last, steps, problems);
    }

    fn factor(&self, step: usize, steps: usize) -> f64 {
        let from = steps.saturating_sub(self.decay);
        // Without a decay there is no last step to fall at.
        let fallen = if self.decay == 0 { 0.0 } else { progress(step, from, steps) };
        warming_up(step, self.warmup).unwrap_or(1.0 - (1.0 - self.last) * fallen)
    }
}

crate::register!(Schedule, "wsd", Wsd);
