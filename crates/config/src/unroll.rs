//! Which loops of a step carry gradient, and which enter the loss.

use looped_core::{LoopPlan, Rng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Training;

/// Which of a step's loops carry gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Unroll {
    /// The last `n_loop_window`.
    #[default]
    Last,
    /// n loops without gradient, n being 0 to m - 1 of m, then k with gradient, k being 1 to m - n and at most `n_loop_window`: both drawn anew at
    /// each step (Bansal et al., arXiv 2202.05826, section 3.2).
    RandomPrefix,
}

/// Which loops' predictions enter the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum LoopLoss {
    /// The last `n_loss_loops`, each as much.
    #[default]
    Uniform,
    /// The last alone.
    Last,
    /// (1 - alpha) times the loss after all loops, and alpha times that after a random prefix (Bansal et al., arXiv 2202.05826, section 3.2).
    Progressive {
        /// How much the loss after the random prefix counts.
        #[schemars(range(min = 0, max = 1))]
        alpha: f64,
    },
}

/// A pass over a step's batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pass {
    /// How much its loss counts.
    pub weight: f64,
    /// Its loops, and how many of the last carry gradient.
    pub plan: LoopPlan,
    /// How many of the last loops enter its loss.
    pub loss_loops: usize,
}

impl Unroll {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl LoopLoss {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Training {
    /// The passes of a step of so many loops; `rng` is the step's own.
    #[must_use]
    pub fn passes(&self, loops: usize, rng: &mut Rng) -> Vec<Pass> {
        let window = self.n_loop_window;
        let last = LoopPlan { loops, window };
        // Without a random prefix nothing is drawn.
        let mut prefix = || {
            let without = rng.below(loops);
            let with = 1 + rng.below((loops - without).min(window));
            LoopPlan { loops: without + with, window: with }
        };
        let plan = match self.unroll {
            Unroll::Last => last,
            Unroll::RandomPrefix => prefix(),
        };
        match self.loss {
            LoopLoss::Uniform => {
                let loss_loops = self.n_loss_loops.unwrap_or(window);
                vec![Pass { weight: 1.0, plan, loss_loops }]
            }
            LoopLoss::Last => vec![Pass { weight: 1.0, plan, loss_loops: 1 }],
            LoopLoss::Progressive { alpha } => {
                let both = [(1.0 - alpha, last), (alpha, prefix())];
                let counts = both.into_iter().filter(|(weight, _)| *weight > 0.0);
                counts.map(|(weight, plan)| Pass { weight, plan, loss_loops: 1 }).collect()
            }
        }
    }

    /// How many passes a step of so many loops has, how many loops all of them together, and how many with gradient: expected numbers.
    #[must_use]
    pub fn expected(&self, loops: usize) -> [f64; 3] {
        let (m, window) = (loops as f64, self.n_loop_window.min(loops) as f64);
        let last = [1.0, m, window];
        let prefix = || {
            // The sum of min(window, m - n) over n.
            let room = window * (window + 1.0) / 2.0 + window * (m - window);
            let with = (1.0 + room / m) / 2.0;
            [1.0, (m - 1.0) / 2.0 + with, with]
        };
        match (self.loss, self.unroll) {
            (LoopLoss::Progressive { alpha }, _) => {
                let both = [(1.0 - alpha, last), (alpha, prefix())];
                let counts = both.into_iter().filter(|(weight, _)| *weight > 0.0);
                counts.fold([0.0; 3], |sum, (_, of)| std::array::from_fn(|i| sum[i] + of[i]))
            }
            (_, Unroll::Last) => last,
            (_, Unroll::RandomPrefix) => prefix(),
        }
    }
}
