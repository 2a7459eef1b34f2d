//! Which solver a loop follows: similarities of a model after each loop with solvers after each step.

mod chosen;
mod compare;
mod drawn;

use looped_core::{Error, Objective, Predictor, Result, Task, Watch, score_scale};
use looped_eval::{Curve, EvalPlan, Scores};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::chosen::other_prompts;
use self::compare::{Comparison, OfPrompt};
use self::drawn::{draw, predict_all};
use crate::best::{Best, Closest};
use crate::solvers::Solver;

pub use self::chosen::default_solvers;

/// Up to here every step is looked at, and beyond about five in each doubling.
const EVERY: usize = 16;

/// How a model is held against solvers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchPlan {
    /// The prompts and the model's loops.
    pub eval: EvalPlan,
    /// Most steps of a solver.
    pub steps: usize,
}

/// Which solver each loop follows: what `looped match` finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The version of these fields.
    pub format: u32,
    /// The task's `type`.
    pub task: String,
    /// How many prompts it is the mean over.
    pub prompts: usize,
    /// What prompts and resamples were drawn from.
    pub seed: u64,
    /// Loops of the model.
    pub loops: usize,
    /// Points in each prompt.
    pub points: usize,
    /// Coordinates of x in use.
    pub dims: usize,
    /// Median over the prompts of S's condition number, S being X^T X of all examples before the last query.
    pub condition: Option<f64>,
    /// The step of `gd_single`: of a grid, the one of least squared error after as many steps as the model has loops, on other prompts.
    pub single_step: f64,
    /// The steps that were looked at.
    pub steps: Vec<usize>,
    /// The solvers' names.
    pub solvers: Vec<String>,
    /// The similarities.
    pub agreements: Vec<Agreement>,
    /// Why there are no induced weights, where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_weights: Option<String>,
    /// Fresh queries from which each prompt's weights were induced.
    pub queries: usize,
    /// The part of the predictions at the queries that is linear in the query, after each loop; none without induced weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linear: Option<Curve>,
    /// The model's error at the last query after each loop, divided by the task's normaliser.
    pub error: Curve,
    /// The same of each solver after each of the steps: `[solver][step]`.
    pub solver_errors: Vec<Vec<Option<f64>>>,
}

/// A way to compare a model with a solver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// SimE (Fu et al., arXiv 2310.17086, section 4): the cosine of the two vectors of residuals, prediction - y, over the points of a prompt
    /// that have an example before them.
    Errors,
    /// SimW (Akyürek et al., arXiv 2211.15661, section 4; Fu et al.): the cosine of the two vectors of weights. The model's are induced: the least
    /// squares of its predictions at fresh queries after the prompt's examples.
    Weights,
    /// The mean squared difference of the two predictions over the same points as SimE, divided by the task's normaliser (Akyürek et al.).
    Difference,
}

impl Measure {
    /// As it stands in tables.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Errors => "SimE",
            Self::Weights => "SimW",
            Self::Difference => "squared difference",
        }
    }

    /// 1 where more is better, and -1 where less is.
    const fn sign(self) -> f64 {
        match self {
            Self::Errors | Self::Weights => 1.0,
            Self::Difference => -1.0,
        }
    }
}

/// How well each solver agrees with each loop by one measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// The measure.
    pub measure: Measure,
    /// The mean over the prompts: `[loop][solver][step]`. What isn't finite, of a solver that diverged, is 0 for cosines and else a `null`.
    pub mean: Vec<Vec<Vec<Option<f64>>>>,
    /// The best step of each solver: `[loop][solver]`.
    pub best: Vec<Vec<Best>>,
    /// The solver that agrees best: `[loop]`.
    pub closest: Vec<Closest>,
}

/// Holds a model after each loop against solvers after each step; `watch` hears of every piece of the work that is done. `more` solvers are looked at
/// beside those of this crate.
///
/// # Errors
/// If the plan can't work, or the task isn't one of points with squared error; if drawing or predicting fails, or `watch` wants to stop.
pub fn match_solvers(
    model: &dyn Predictor,
    task: &dyn Task,
    plan: &MatchPlan,
    more: Vec<Box<dyn Solver>>,
    watch: &dyn Watch,
) -> Result<Match> {
    refuse(task, plan)?;
    let MatchPlan { eval, steps } = plan;
    let eval = &eval.within(task)?;
    let steps = steps_up_to(*steps);
    let (examples, dims) = (eval.points - 1, eval.dims);
    let (mut solvers, single_step) = default_solvers(&other_prompts(task, eval)?, dims, eval.loops);
    solvers.extend(more);
    let (prompts, queries, without_weights) = draw(task, eval, examples)?;
    let pieces = 2 * eval.prompts + 3 * eval.loops;
    let scale = score_scale(task, dims);

    let induced = match &queries {
        Some((drawn, queries)) => queries.ask(model, drawn, examples, eval.loops, watch)?,
        None => Vec::new(),
    };
    watch.advanced(eval.prompts, pieces);
    let predictions = predict_all(model, &prompts, eval.loops, watch)?;
    let of_prompt = |i| -> Result<OfPrompt> {
        watch.check()?;
        Ok(OfPrompt::new(&prompts, i, dims, &solvers, &steps))
    };
    let solved: Vec<OfPrompt> = (0..eval.prompts).into_par_iter().map(of_prompt).collect::<Result<_>>()?;
    watch.advanced(2 * eval.prompts, pieces);

    let comparison = Comparison {
        eval,
        steps: &steps,
        prompts: &prompts,
        predictions: &predictions,
        solved: &solved,
        induced: &induced,
        scale,
    };
    let mut agreements = Vec::new();
    for (n, measure) in [Measure::Errors, Measure::Weights, Measure::Difference].into_iter().enumerate() {
        if measure != Measure::Weights || queries.is_some() {
            let told = 2 * eval.prompts + n * eval.loops;
            agreements.push(comparison.by(measure, watch, &|index| watch.advanced(told + index, pieces))?);
        }
    }
    let errors = comparison.errors();
    let mut linear = Scores::new(eval.loops);
    if queries.is_some() {
        (0..eval.prompts).for_each(|i| linear.push(induced.iter().map(|of_loop| of_loop[i].linear)));
    }
    let mut conditions: Vec<f64> = solved.iter().map(|of| of.condition).collect();
    conditions.sort_unstable_by(f64::total_cmp);
    Ok(Match {
        format: 1,
        task: task.typetag_name().into(),
        prompts: eval.prompts,
        seed: eval.seed,
        loops: eval.loops,
        points: eval.points,
        dims,
        condition: Some(conditions[conditions.len() / 2]).filter(|condition| condition.is_finite()),
        single_step,
        steps: steps.clone(),
        solvers: solvers.iter().map(|solver| solver.name()).collect(),
        agreements,
        without_weights,
        queries: queries.as_ref().map_or(0, |(_, queries)| queries.count()),
        linear: queries.is_some().then(|| linear.curve(eval.resamples, eval.seed)),
        error: errors.0,
        solver_errors: errors.1,
    })
}

/// Bytes that [`match_solvers`] takes beside the model: an estimate.
#[must_use]
pub fn memory_of_matching(plan: &MatchPlan) -> f64 {
    let MatchPlan { eval, steps } = plan;
    let columns = 9.0 * steps_up_to(*steps).len() as f64;
    let (prompts, points, loops, dims) =
        (eval.prompts as f64, eval.points as f64, eval.loops as f64, eval.dims as f64);
    let solved = prompts * columns * 8.0 * (points + dims);
    let asked = prompts * loops * (4.0 * points + 8.0 * (dims + 1.0));
    let agreements = 3.0 * 16.0 * loops * columns;
    let one_loop = 8.0 * columns * (prompts + 2.0 * eval.resamples as f64);
    solved + asked + agreements + one_loop
}

fn refuse(task: &dyn Task, plan: &MatchPlan) -> Result<()> {
    plan.eval.check()?;
    let refused = |why: String| Err(Error::Data(format!("matching: {why}")));
    if task.alphabet().is_some() || task.objective() != Objective::SquaredError {
        return refused(format!(
            "the solvers are of least squares, and the task `{}` has classes; it takes a task of points with squared error",
            task.typetag_name()
        ));
    }
    if plan.eval.points < 2 {
        return refused("prompts of 1 point have no example; it takes at least 2 points".into());
    }
    if plan.steps == 0 {
        return refused("0 steps; it takes at least 1".into());
    }
    Ok(())
}

/// 1, 2, ... and from [`EVERY`] on about five in each doubling; `most` is among them.
fn steps_up_to(most: usize) -> Vec<usize> {
    let mut steps: Vec<usize> = (1..=most.min(EVERY)).collect();
    let mut next = EVERY as f64;
    while steps.last().is_some_and(|&last| last < most) {
        next *= 2f64.powf(0.2);
        steps.push((next.round() as usize).min(most));
    }
    steps
}

#[cfg(test)]
mod tests;
