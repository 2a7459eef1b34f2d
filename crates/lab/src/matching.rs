//! Which solver a loop follows: similarities of a model after each loop with solvers after each step.

use looped_core::{Error, Objective, Predictions, Predictor, Prompts, Result, Rng, Task, Watch, score_scale};
use looped_eval::{Curve, EvalPlan, Scores};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::best::{Best, Closest, best};
use crate::eigen::cosine;
use crate::queries::{Induced, Queries};
use crate::solvers::{
    Chebyshev, ConjugateGradients, GradientDescent, HeavyBall, NewtonSchulz, Preconditioned, Problem, Solver,
    Step, predict,
};

/// Up to here every step is looked at, and beyond about five in each doubling.
const EVERY: usize = 16;

/// Queries for each coordinate, from which the induced weights are found.
const QUERIES: usize = 2;

/// Prompts that the preconditioner and the single step are chosen on: others than those that are looked at.
const CHOSEN_ON: usize = 64;

/// Candidates for the single step.
const CANDIDATES: usize = 60;

/// Prompts that the model predicts at a time.
const AT_ONCE: usize = 64;

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

/// The solvers of this crate, for prompts of a task: the preconditioner and the single step are chosen on some of them.
///
/// The size of the single step comes with them.
#[must_use]
pub fn default_solvers(prompts: &Prompts, dims: usize, loops: usize) -> (Vec<Box<dyn Solver>>, f64) {
    let single = single_step(prompts, dims, loops);
    let xs: Vec<f32> = prompts.xs.chunks_exact(prompts.n_dims).flat_map(|x| &x[..dims]).copied().collect();
    let solvers: Vec<Box<dyn Solver>> = vec![
        Box::new(GradientDescent { step: Step::Optimal }),
        Box::new(GradientDescent { step: Step::InverseLargest }),
        Box::new(GradientDescent { step: Step::Single(single) }),
        Box::new(Preconditioned::by(&xs, dims)),
        Box::new(HeavyBall {}),
        Box::new(Chebyshev {}),
        Box::new(ConjugateGradients {}),
        Box::new(NewtonSchulz {}),
    ];
    (solvers, single)
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

/// Prompts of the task that aren't looked at: drawn from another seed, or, where the task has only so many, its first ones.
fn other_prompts(task: &dyn Task, eval: &EvalPlan) -> Result<Prompts> {
    let seed = Rng::stream(eval.seed, "matching", 0).bits();
    let plan = EvalPlan { prompts: CHOSEN_ON, seed, ..eval.clone() }.within(task)?;
    plan.draw(task, 0, plan.prompts)
}

type Asked = (Prompts, Queries);

/// The prompts, and the same with queries behind their examples; or why there are none.
fn draw(
    task: &dyn Task,
    eval: &EvalPlan,
    examples: usize,
) -> Result<(Prompts, Option<Asked>, Option<String>)> {
    let longer = EvalPlan { points: examples + QUERIES * eval.dims.max(2), ..eval.clone() };
    let prompts = eval.draw(task, 0, eval.prompts)?;
    match longer.draw(task, 0, eval.prompts) {
        Ok(drawn) if begins_alike(&drawn, &prompts, examples) => {
            let queries = Queries::of(&drawn, examples, eval.dims);
            Ok((prompts, Some((drawn, queries)), None))
        }
        Ok(_) => Ok((prompts, None, Some("longer prompts of this task begin otherwise".into()))),
        Err(Error::Data(why)) => Ok((prompts, None, Some(why))),
        Err(error) => Err(error),
    }
}

fn begins_alike(longer: &Prompts, prompts: &Prompts, examples: usize) -> bool {
    (0..prompts.prompts).all(|i| {
        let ((long_xs, long_ys), (xs, ys)) = (longer.get(i), prompts.get(i));
        let width = examples * prompts.n_dims;
        long_xs[..width] == xs[..width] && long_ys[..examples] == ys[..examples]
    })
}

fn predict_all(
    model: &dyn Predictor,
    prompts: &Prompts,
    loops: usize,
    watch: &dyn Watch,
) -> Result<Vec<Vec<f32>>> {
    let mut found = vec![Vec::with_capacity(prompts.ys.len()); loops];
    for first in (0..prompts.prompts).step_by(AT_ONCE) {
        watch.check()?;
        let some = prompts.slice(first..(first + AT_ONCE).min(prompts.prompts));
        let predictions: Predictions = model.predict(&some, loops)?;
        found.iter_mut().enumerate().for_each(|(index, found)| found.extend(predictions.after(index)));
    }
    Ok(found)
}

/// Of a grid of sizes, the one whose predictions have the least squared error after so many steps.
fn single_step(prompts: &Prompts, dims: usize, steps: usize) -> f64 {
    let problems: Vec<(Vec<f32>, f64, Problem)> = (0..prompts.prompts)
        .into_par_iter()
        .flat_map_iter(|i| {
            let (xs, ys) = in_use(prompts, i, dims);
            let of = move |k: usize| {
                (
                    xs[k * dims..][..dims].to_vec(),
                    f64::from(ys[k]),
                    Problem::new(&xs[..k * dims], &ys[..k], dims),
                )
            };
            (1..prompts.points).map(of).collect::<Vec<_>>()
        })
        .collect();
    let most = problems
        .iter()
        .filter_map(|(_, _, problem)| problem.bounds())
        .map(|(_, most)| most)
        .fold(0.0, f64::max);
    let size =
        |n: usize| 4.0 / most.max(f64::MIN_POSITIVE) * 1e-3f64.powf(n as f64 / (CANDIDATES - 1) as f64);
    let error = |n: usize| -> f64 {
        let solver = GradientDescent { step: Step::Single(size(n)) };
        let square = |(x, y, problem): &(Vec<f32>, f64, Problem)| {
            let w = solver.iterates(problem, steps).pop().unwrap_or_default();
            (predict(&w, x) - y).powi(2)
        };
        problems.iter().map(square).sum()
    };
    let errors: Vec<f64> = (0..CANDIDATES).into_par_iter().map(error).collect();
    let least =
        (0..CANDIDATES).filter(|&n| errors[n].is_finite()).min_by(|&a, &b| errors[a].total_cmp(&errors[b]));
    size(least.unwrap_or(CANDIDATES - 1))
}

/// The coordinates in use of a prompt's points, and its ys.
fn in_use(prompts: &Prompts, i: usize, dims: usize) -> (Vec<f32>, Vec<f32>) {
    let (xs, ys) = prompts.get(i);
    (xs.chunks_exact(prompts.n_dims).flat_map(|x| &x[..dims]).copied().collect(), ys.to_vec())
}

/// What the solvers find for a prompt.
struct OfPrompt {
    /// Predictions of each point that has an example before it: (solvers, steps, points - 1).
    predictions: Vec<f64>,
    /// Weights of all examples but the last: (solvers, steps, dims).
    weights: Vec<f64>,
    condition: f64,
}

impl OfPrompt {
    fn new(prompts: &Prompts, i: usize, dims: usize, solvers: &[Box<dyn Solver>], steps: &[usize]) -> Self {
        let (xs, ys) = in_use(prompts, i, dims);
        let (queries, most) = (prompts.points - 1, steps.last().copied().unwrap_or(1));
        let mut predictions = vec![0.0; solvers.len() * steps.len() * queries];
        let mut weights = Vec::new();
        let mut condition = f64::NAN;
        for query in 1..prompts.points {
            let problem = Problem::new(&xs[..query * dims], &ys[..query], dims);
            let x = &xs[query * dims..][..dims];
            for (s, solver) in solvers.iter().enumerate() {
                let iterates = solver.iterates(&problem, most);
                for (k, &step) in steps.iter().enumerate() {
                    let w = &iterates[step - 1];
                    predictions[(s * steps.len() + k) * queries + query - 1] = predict(w, x);
                    if query == queries {
                        weights.extend_from_slice(w);
                    }
                }
            }
            condition = problem.bounds().map_or(f64::NAN, |(least, most)| most / least);
        }
        Self { predictions, weights, condition }
    }
}

/// All that is held against each other.
struct Comparison<'a> {
    eval: &'a EvalPlan,
    steps: &'a [usize],
    prompts: &'a Prompts,
    /// `[loop]`: (prompts, points).
    predictions: &'a [Vec<f32>],
    solved: &'a [OfPrompt],
    /// `[loop][prompt]`.
    induced: &'a [Vec<Induced>],
    scale: f64,
}

impl Comparison<'_> {
    /// The agreement by one measure; tells of every loop that is done.
    fn by(&self, measure: Measure, watch: &dyn Watch, done: &dyn Fn(usize)) -> Result<Agreement> {
        let mut agreement = Agreement { measure, mean: Vec::new(), best: Vec::new(), closest: Vec::new() };
        for index in 0..self.eval.loops {
            watch.check()?;
            let rows: Vec<Vec<f64>> =
                (0..self.eval.prompts).into_par_iter().map(|i| self.row(measure, index, i)).collect();
            let mut scores = Scores::new(rows[0].len());
            rows.into_iter().for_each(|row| scores.push(row));
            let (found, closest) =
                best(&scores, self.steps, measure.sign(), (self.eval.resamples, self.eval.seed));
            agreement.mean.push(scores.mean().chunks_exact(self.steps.len()).map(or_nothing).collect());
            agreement.best.push(found);
            agreement.closest.push(closest);
            done(index + 1);
        }
        Ok(agreement)
    }

    /// How well each solver agrees after each step, for one prompt: (solvers, steps).
    fn row(&self, measure: Measure, index: usize, i: usize) -> Vec<f64> {
        let (points, solved) = (self.prompts.points, &self.solved[i]);
        if measure == Measure::Weights {
            let own = &self.induced[index][i].weights;
            return solved.weights.chunks_exact(own.len()).map(|w| similar(own, w)).collect();
        }
        let (_, ys) = self.prompts.get(i);
        let own: Vec<f64> =
            self.predictions[index][i * points + 1..(i + 1) * points].iter().map(|&p| f64::from(p)).collect();
        let ys: Vec<f64> = ys[1..].iter().map(|&y| f64::from(y)).collect();
        let residual =
            |predictions: &[f64]| predictions.iter().zip(&ys).map(|(p, y)| p - y).collect::<Vec<f64>>();
        let of_model = residual(&own);
        let one = |theirs: &[f64]| match measure {
            Measure::Difference => {
                let squares = own.iter().zip(theirs).map(|(a, b)| (a - b).powi(2));
                squares.sum::<f64>() / own.len() as f64 / self.scale
            }
            _ => similar(&of_model, &residual(theirs)),
        };
        solved.predictions.chunks_exact(own.len()).map(one).collect()
    }

    /// Errors at the last query: of the model after each loop, and of each solver after each step.
    fn errors(&self) -> (Curve, Vec<Vec<Option<f64>>>) {
        let (points, last) = (self.prompts.points, self.prompts.points - 1);
        let error = |prediction: f64, i: usize| {
            (prediction - f64::from(self.prompts.ys[i * points + last])).powi(2) / self.scale
        };
        let mut of_model = Scores::new(self.eval.loops);
        let mut of_solvers = Scores::new(self.solved[0].predictions.len() / last);
        for (i, solved) in self.solved.iter().enumerate() {
            of_model.push(self.predictions.iter().map(|after| error(f64::from(after[i * points + last]), i)));
            of_solvers.push(
                solved.predictions.chunks_exact(last).map(|predictions| error(predictions[last - 1], i)),
            );
        }
        let means = of_solvers.mean();
        let of_model = of_model.curve(self.eval.resamples, self.eval.seed);
        (of_model, means.chunks_exact(self.steps.len()).map(or_nothing).collect())
    }
}

/// What isn't a finite number left out: JSON has none.
fn or_nothing(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().map(|v| v.is_finite().then_some(*v)).collect()
}

/// The cosine; 0 where a solver has diverged.
fn similar(a: &[f64], b: &[f64]) -> f64 {
    let cosine = cosine(a, b);
    if cosine.is_finite() { cosine } else { 0.0 }
}

#[cfg(test)]
mod tests;
