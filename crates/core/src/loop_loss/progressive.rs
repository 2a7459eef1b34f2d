//! The progressive loss of deep-thinking networks (Bansal et al., arXiv 2202.05826).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Counting, LoopLoss, Share};
use crate::{Body, LoopPlan, Pass, Problems, RandomPrefix, StepLoops, StepWork, Unroll};

/// (1 - alpha) times the loss after all loops, and alpha times that after a random prefix (Bansal et al., arXiv 2202.05826, section 3.2).
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Progressive {
    /// How much the loss after the random prefix counts.
    #[schemars(range(min = 0, max = 1))]
    pub alpha: f64,
}

#[typetag::serde(name = "progressive")]
impl LoopLoss for Progressive {
    fn validate(&self, problems: &mut Problems) {
        problems.require_in(self.alpha, 0.0..=1.0, "alpha");
    }

    fn has_own_way(&self) -> bool {
        true
    }

    fn share(&self, index: usize, window: usize, _: Option<usize>) -> Option<Share> {
        (index + 1 == window).then_some(Share::WHOLE)
    }

    fn work(&self, unroll: &dyn Unroll, loops: usize, window: usize) -> StepWork {
        let of = |share: f64, work: StepWork| if share > 0.0 { work } else { StepWork::default() };
        of(1.0 - self.alpha, unroll.work(loops, window)) + of(self.alpha, RandomPrefix {}.work(loops, window))
    }

    fn passes(&self, step: &StepLoops) -> Option<Vec<Pass>> {
        let all = LoopPlan { loops: step.loops, window: step.window };
        let part = RandomPrefix::draw(step.loops, step.window, &mut step.rng.clone());
        let both = [(1.0 - self.alpha, all), (self.alpha, part)];
        let counts = both.into_iter().filter(|(share, _)| *share > 0.0);
        Some(counts.map(|(share, plan)| Pass { share, plan, counted: 1 }).collect())
    }

    fn run(&self, step: &StepLoops, body: &mut dyn Body) -> f64 {
        let pass = |Pass { share: of, plan, .. }| {
            let share = |index, window| (index + 1 == window).then_some(Share { of, among: 1 });
            step.window(plan, &Counting { share: &share, joint: None }, body)
        };
        self.passes(step).unwrap_or_default().into_iter().map(pass).sum()
    }
}

crate::register!(LoopLoss, "progressive", Progressive);
