//! When could a model stop? Rules that are applied after training, beside the best that any rule could do.
//!
//! The answer is the prediction at the last query. A rule looks at a number after each loop, and stops at the first loop at which it is below a
//! threshold; where it never is, it stops after the last loop.

mod difficulty;
mod front;
mod signals;

use candle_core::Device;
use looped_core::{Error, Objective, Predictor, Result, Stateful, Stretch, Task, Watch};
use looped_eval::{Curve, EvalPlan};
use serde::{Deserialize, Serialize};

pub use difficulty::{Axis, Difficulty};
pub use front::{Front, oracle, random, rule};
pub use signals::Signal;

/// What is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct ExitPlan {
    /// The prompts and the model's loops.
    pub eval: EvalPlan,
    /// The number of loops that the model was trained with.
    pub trained: usize,
    /// The threshold at which it is said whether a rule fires.
    pub threshold: f64,
}

/// When a model could stop: what `looped exits` finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exits {
    /// The version of these fields.
    pub format: u32,
    /// The task's `type`.
    pub task: String,
    /// How many prompts the means are over.
    pub prompts: usize,
    /// What prompts and resamples were drawn from.
    pub seed: u64,
    /// Loops of the model.
    pub loops: usize,
    /// Loops that it was trained with.
    pub trained: usize,
    /// Points in each prompt.
    pub points: usize,
    /// Coordinates of x in use.
    pub dims: usize,
    /// What errors are, as in `squared error / 5`; of classes the part that is wrong.
    pub score: String,
    /// The threshold at which it is said whether a rule fires.
    pub threshold: f64,
    /// Everybody's exit after the same loop: the error at the last query after each.
    pub fixed: Curve,
    /// The least error of each prompt, at the first loop that has it: no rule does better. One entry.
    pub oracle: Curve,
    /// The mean of these loops.
    pub oracle_loops: f64,
    /// The least error at a mean number of loops: for prices of a loop from high to low, each prompt's loop of the least error and price together.
    pub oracle_front: OracleFront,
    /// The rules.
    pub rules: Vec<Rule>,
    /// Exits over the number of in-context examples, and over the coordinates in use.
    pub difficulties: Vec<Difficulty>,
}

/// The bound of all rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OracleFront {
    /// The mean number of loops, from few to many.
    pub mean_loops: Vec<f64>,
    /// The mean error.
    pub error: Vec<Option<f64>>,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// The number of loops in a row at which its number must be below the threshold.
    pub in_a_row: usize,
    /// The smallest threshold at which it fires for some prompt before the last loop is this number, or anything above it; nothing if it never does.
    pub fires_above: Option<f64>,
    /// At [`Exits::threshold`]: the part of the prompts for which it fires before the last loop, the mean number of loops, the error.
    pub at_threshold: AtThreshold,
    /// What it does at thresholds from low to high.
    pub front: Front,
    /// The threshold among these at which it takes nearest to half of the loops on the mean.
    pub half_way: f64,
}

/// What a rule does at one threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtThreshold {
    /// The part of the prompts for which it fires before the last loop.
    pub fires: f64,
    /// The mean number of loops.
    pub mean_loops: f64,
    /// The mean error, one entry.
    pub error: Curve,
}

/// Looks when a model could stop; `watch` hears of every piece of the work that is done.
///
/// # Errors
/// If the plan can't work, or the task isn't one of points; if drawing, predicting or a tensor operation fails, or `watch` wants to stop.
pub fn exits(
    model: &(impl Stateful + Predictor),
    device: &Device,
    task: &dyn Task,
    plan: &ExitPlan,
    watch: &dyn Watch,
) -> Result<Exits> {
    refuse(task, plan)?;
    let eval = &plan.eval.within(task)?;
    let axes = difficulty::axes(eval);
    let total =
        eval.prompts + axes.iter().map(|axis| axis.values.len() * difficulty::prompts(eval)).sum::<usize>();
    let measuring = signals::Measuring { model, device, task, loops: eval.loops };
    let seen = measuring.look(
        &eval.draw(task, 0, eval.prompts)?,
        eval,
        &Stretch { whole: watch, before: 0, total },
    )?;
    let (best, oracle_loops) = oracle(&seen.errors, 0.0);
    let numbers = (eval.resamples, eval.seed);
    let rules: Vec<Rule> =
        seen.signals.iter().map(|signal| found(signal, &seen.errors, plan.threshold, numbers)).collect();
    let difficulties = difficulty::look(
        &measuring,
        &axes,
        eval,
        &rules,
        &Stretch { whole: watch, before: eval.prompts, total },
    )?;
    let score = if task.objective() == Objective::SquaredError {
        let scale = looped_core::score_scale(task, eval.dims);
        if scale == 1.0 { "squared error".to_owned() } else { format!("squared error / {scale}") }
    } else {
        "part that is wrong".to_owned()
    };
    Ok(Exits {
        format: 1,
        task: task.typetag_name().into(),
        prompts: eval.prompts,
        seed: eval.seed,
        loops: eval.loops,
        trained: plan.trained,
        points: eval.points,
        dims: eval.dims,
        score,
        threshold: plan.threshold,
        fixed: seen.errors.curve(eval.resamples, eval.seed),
        oracle: front::at_loops(&seen.errors, &[best]).curve(eval.resamples, eval.seed),
        oracle_loops,
        oracle_front: front::of_oracle(&seen.errors),
        rules,
        difficulties,
    })
}

fn found(
    signal: &Signal,
    errors: &looped_eval::Scores,
    threshold: f64,
    (resamples, seed): (usize, u64),
) -> Rule {
    let front = rule(signal, errors, resamples, seed);
    let exits = signal.exits(threshold);
    let last = errors.columns();
    let half = front.nearest(last as f64 / 2.0);
    Rule {
        name: signal.name.clone(),
        in_a_row: signal.in_a_row,
        fires_above: signal.fires_above(),
        at_threshold: AtThreshold {
            fires: signal.fires(threshold),
            mean_loops: front::mean(&exits),
            error: front::at_loops(errors, &[exits]).curve(resamples, seed),
        },
        half_way: front.thresholds[half],
        front,
    }
}

/// Bytes that [`exits`] takes beside the model: an estimate, of a state of so many tokens and such a width.
#[must_use]
pub fn memory_of_exits(plan: &ExitPlan, tokens: usize, width: usize) -> f64 {
    let EvalPlan { prompts, points, loops, resamples, .. } = plan.eval;
    let (prompts, points, loops) = (prompts as f64, points as f64, loops as f64);
    let numbers = 8.0 * prompts * loops * 14.0 + 8.0 * loops * prompts;
    let left_out = 4.0 * 256.0 * points * (loops + points);
    let states = 40.0 * 4.0 * (crate::states::SHARED_OUT as f64 + 4.0 * tokens as f64 * width as f64);
    let columns = loops.max(front::THRESHOLDS as f64);
    numbers + left_out + states + 8.0 * columns * (prompts + 2.0 * resamples as f64)
}

fn refuse(task: &dyn Task, plan: &ExitPlan) -> Result<()> {
    plan.eval.check()?;
    let refused = |why: String| Err(Error::Data(format!("exits: {why}")));
    if task.alphabet().is_some() {
        return refused(format!(
            "the rules are of points with a number each, and the task `{}` has sequences of tokens",
            task.typetag_name()
        ));
    }
    if plan.eval.loops < 2 {
        return refused("1 loop leaves nothing to decide; it takes at least 2".into());
    }
    if plan.eval.points < 2 {
        return refused("prompts of 1 point have no example; it takes at least 2 points".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
