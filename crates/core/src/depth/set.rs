//! One of some numbers of loops.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Depth, MOST_LOOPS};
use crate::{Problems, Rng};

/// One of some numbers of loops; one that stands there twice is twice as likely.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetDepth {
    /// The numbers; a model is evaluated at the largest.
    #[schemars(length(min = 1), inner(range(min = 1, max = 1_000_000)))]
    pub loops: Vec<usize>,
}

#[typetag::serde(name = "set")]
impl Depth for SetDepth {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.loops.is_empty(), "loops", || "has 0 items; needed: at least 1".to_owned());
        problems.within("loops", |problems| {
            for (i, &loops) in self.loops.iter().enumerate() {
                problems.require_in(loops, 1..=MOST_LOOPS, &i.to_string());
            }
        });
    }

    fn draw(&self, _: usize, rng: &mut Rng) -> usize {
        // A list without numbers is refused before anything is drawn.
        let index = rng.below(self.loops.len().max(1));
        self.loops.get(index).copied().unwrap_or(1)
    }

    fn most(&self, _: usize) -> usize {
        self.loops.iter().copied().max().unwrap_or(1)
    }

    fn mean(&self, _: usize, of: &dyn Fn(usize) -> f64) -> f64 {
        self.loops.iter().map(|&loops| of(loops)).sum::<f64>() / self.loops.len() as f64
    }
}

crate::register!(Depth, "set", SetDepth);
