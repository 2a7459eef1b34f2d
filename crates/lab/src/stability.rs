//! What becomes of the state far beyond the trained loops: does it settle, drift, cycle or diverge?

mod alignment;
mod jacobian;
mod overthinking;
mod paths;
mod spread;
mod tangent;
mod verdict;
mod walk;

use candle_core::Device;
use looped_core::{Predictor, Result, Stateful, Stretch, Task, Watch};
use looped_eval::EvalPlan;
use serde::{Deserialize, Serialize};

use crate::states::SHARED_OUT;

pub use alignment::Alignment;
pub use jacobian::{DIRECTIONS, Jacobian, ROUNDS, jacobian};
pub use overthinking::Overthinking;
pub use paths::Path;
pub use spread::{Spread, Spreads};
pub use verdict::{DIVERGED, RETURNED, SETTLED, Shares, Verdict, WhatHappens};

/// Prompts whose paths are kept.
const PATHS: usize = 3;

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StabilityPlan {
    /// The prompts that scores are of, and the model's loops.
    pub eval: EvalPlan,
    /// The number of loops that the model was trained with.
    pub trained: usize,
    /// How many of the prompts the states are looked at on.
    pub states: usize,
    /// How many of these the derivatives are taken on.
    pub derivatives: usize,
}

/// What becomes of the state: what `looped stability` finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stability {
    /// The version of these fields.
    pub format: u32,
    /// The task's `type`.
    pub task: String,
    /// How many prompts the states were looked at on.
    pub prompts: usize,
    /// What they were drawn from.
    pub seed: u64,
    /// Loops of the model.
    pub loops: usize,
    /// Loops that it was trained with.
    pub trained: usize,
    /// Points in each prompt.
    pub points: usize,
    /// Tokens in each prompt.
    pub tokens: usize,
    /// The part of the tokens whose state is the same after every loop; they are left out of all that follows but `verdict`, `alignment` and
    /// `jacobian`.
    pub still: f64,
    /// |D_l| / |Z_l| of each token, D_l = Z_l - Z_(l-1); nothing for the first loop.
    pub relative_step: Spreads,
    /// The cosine of D_l and D_(l-1) of each token; nothing for the first two loops.
    pub cosine: Spreads,
    /// |D_l - D_(l-1)| / |Z_l| of each token; nothing for the first two loops.
    pub acceleration: Spreads,
    /// |Z_l - Z_L| / |Z_L| of each token, L being the last loop.
    pub distance_to_last: Spreads,
    /// What happens, and by which rule.
    pub verdict: Verdict,
    /// The end from other starts.
    pub alignment: Alignment,
    /// The way of some prompts' states.
    pub paths: Vec<Path>,
    /// The loop's derivative at the end, and along the way.
    pub jacobian: Jacobian,
    /// The best loop against the last.
    pub overthinking: Overthinking,
}

/// Looks at the states of a model over all loops of a plan. `exact` is the same model computing in 64 bits, which derivatives are taken of.
/// `watch` hears of every piece of the work that is done.
///
/// # Errors
/// If the plan can't work, or the model carries more than its state from loop to loop; if drawing or a tensor operation fails, or `watch` wants to
/// stop.
pub fn stability(
    model: &(impl Stateful + Predictor),
    exact: &dyn Stateful,
    device: &Device,
    task: &dyn Task,
    plan: &StabilityPlan,
    watch: &dyn Watch,
) -> Result<Stability> {
    verdict::refuse(plan)?;
    let eval = &plan.eval.within(task)?;
    let loops = eval.loops;
    let count = plan.states.min(eval.prompts);
    let prompts = eval.draw(task, 0, count)?.slice(0..count);
    // Twice through the loops for the states, twice more from other starts, and once with derivatives, which take longest.
    let total = 4 * loops + 4 * loops;
    let stretch = |before| Stretch { whole: watch, before, total };

    let run = walk::Run { model, device, prompts: &prompts, loops };
    let seen = run.look(plan.trained, &stretch(0))?;
    let alignment = alignment::of(&run, &seen.last, eval, &stretch(2 * loops))?;
    let few = prompts.slice(0..plan.derivatives.clamp(1, count));
    let jacobian =
        jacobian(exact, device, &few, (plan.trained.min(loops - 1), loops), eval.seed, &stretch(4 * loops))?;
    let overthinking = overthinking::of(model, task, eval, plan.trained, watch)?;
    Ok(Stability {
        format: 1,
        task: task.typetag_name().into(),
        prompts: count,
        seed: eval.seed,
        loops,
        trained: plan.trained,
        points: eval.points,
        tokens: prompts.layout.tokens(eval.points),
        still: seen.still,
        relative_step: seen.relative_step,
        cosine: seen.cosine,
        acceleration: seen.acceleration,
        distance_to_last: seen.distance_to_last,
        verdict: verdict::of(&seen.prompts),
        alignment,
        paths: seen.paths,
        jacobian,
        overthinking,
    })
}

/// Bytes that [`stability`] takes beside the model: an estimate, of a state of so many tokens and such a width.
#[must_use]
pub fn memory_of_stability(plan: &StabilityPlan, tokens: usize, width: usize) -> f64 {
    let (state, loops) = (tokens as f64 * width as f64, plan.eval.loops as f64);
    let states = plan.states as f64;
    let quantities = 4.0 * 4.0 * states * tokens as f64 * loops;
    let paths = 4.0 * PATHS as f64 * state * loops.min(paths::MOST as f64);
    // The last states, those of the starts, and a batch in the loops; the derivatives' copies on each thread, in 64 bits.
    let batch = 40.0 * 4.0 * (SHARED_OUT as f64 + 4.0 * state);
    let derivatives = 40.0 * 8.0 * (1.0 + 2.0 * DIRECTIONS as f64) * state * 2.0;
    let scores = 16.0 * plan.eval.prompts as f64 * loops + 8.0 * plan.eval.resamples as f64 * loops;
    quantities + paths + 6.0 * 4.0 * states * state + batch + derivatives + scores
}

#[cfg(test)]
mod tests;
