//! Scoring a model on fresh prompts.

use std::collections::BTreeMap;

use looped_core::{
    Baseline, Error, Objective, Predictions, Predictor, Prompts, Request, Result, Rng, Split, Task, Watch,
};

use crate::baselines::{predictions_of, reason};
use crate::prompt_scores::fingerprint;
use crate::settling::Sums;
use crate::{Curves, Evaluation, MODEL, PromptScores, Scores};

/// Prompts are drawn this many at a time, each lot from a generator of its own.
const LOT: usize = 64;

/// Most prompts times loops that the model is asked for at a time: so often can an evaluation be stopped.
const AT_ONCE: usize = 64 * LOT;

/// What to score a model on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalPlan {
    /// How many prompts.
    pub prompts: usize,
    /// Points in each; the last one is predicted from `points - 1` examples.
    pub points: usize,
    /// Coordinates of x in use; the others are 0, and the baselines don't see them.
    pub dims: usize,
    /// Width of x.
    pub n_dims: usize,
    /// Loops of the model.
    pub loops: usize,
    /// What the prompts and the resamples are drawn from.
    pub seed: u64,
    /// How many resamples the intervals are of.
    pub resamples: usize,
    /// How many prompts the model predicts at a time: bounds memory, and changes no result.
    pub chunk: usize,
}

impl EvalPlan {
    /// The published sizes: 1280 prompts, 1000 resamples; 64 prompts at a time.
    #[must_use]
    pub const fn new(points: usize, dims: usize, n_dims: usize, loops: usize, seed: u64) -> Self {
        Self { prompts: 1280, points, dims, n_dims, loops, seed, resamples: 1000, chunk: LOT }
    }

    /// Refuses sizes that can't work.
    ///
    /// # Errors
    /// If a count is 0, or `dims` more than `n_dims`.
    pub fn check(&self) -> Result<()> {
        let counts = [
            ("prompts", self.prompts),
            ("points", self.points),
            ("dims", self.dims),
            ("loops", self.loops),
            ("resamples", self.resamples),
            ("chunk", self.chunk),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::Data(format!("evaluation: {name} is 0, must be at least 1")));
        }
        if self.dims > self.n_dims {
            return Err(Error::Data(format!(
                "evaluation: dims is {}, must be at most n_dims, {}",
                self.dims, self.n_dims
            )));
        }
        Ok(())
    }

    /// The plan with no more prompts than the task has: none is scored twice.
    ///
    /// # Errors
    /// If the task reads data that can't be read.
    pub fn within(&self, task: &dyn Task) -> Result<Self> {
        let most = task.count(Split::HeldOut)?.unwrap_or(usize::MAX);
        Ok(Self { prompts: self.prompts.min(most), ..self.clone() })
    }

    /// Draws the prompts from `first` on, `count` or fewer at the end; `first` is a multiple of 64.
    ///
    /// What is drawn depends on the seed and the position alone.
    ///
    /// # Errors
    /// If the task reads data that can't serve the plan.
    pub fn draw(&self, task: &dyn Task, first: usize, count: usize) -> Result<Prompts> {
        let end = (first + count).min(self.prompts);
        let mut drawn =
            Prompts { xs: Vec::new(), ys: Vec::new(), prompts: 0, points: self.points, n_dims: self.n_dims };
        for start in (first..end).step_by(LOT) {
            let request = Request {
                prompts: LOT.min(end - start),
                points: self.points,
                dims: self.dims,
                n_dims: self.n_dims,
                first: start as u64,
                split: Split::HeldOut,
            };
            let lot =
                task.sample(request, &mut Rng::stream(self.seed, "evaluation", (start / LOT) as u64))?;
            drawn.xs.extend(lot.xs);
            drawn.ys.extend(lot.ys);
            drawn.prompts += lot.prompts;
        }
        Ok(drawn)
    }
}

/// Scores a model and the baselines on fresh prompts of a task; `watch` hears of every 64 prompts that are done.
///
/// The model's curve is after the last loop. Prompts are drawn from the plan's seed (stream `evaluation`) as
/// [`Split::HeldOut`]: never those of training, unless the task has no others; and never more than the task has. Scores that aren't finite, of a model that diverged, are
/// kept as such: see [`Curve`](crate::Curve). A baseline that fails costs its own curve alone:
/// [`Evaluation::failed_baselines`] says why.
///
/// # Errors
/// If the plan can't work, two curves have one name, drawing or predicting fails, or `watch` wants to stop.
pub fn evaluate(
    predictor: &dyn Predictor,
    task: &dyn Task,
    plan: &EvalPlan,
    baselines: &[Box<dyn Baseline>],
    watch: &dyn Watch,
) -> Result<Evaluation> {
    Ok(score_prompts(predictor, task, plan, baselines, watch)?.0)
}

/// As [`evaluate`], with the score of each prompt that its means are of.
///
/// # Errors
/// As [`evaluate`].
pub fn score_prompts(
    predictor: &dyn Predictor,
    task: &dyn Task,
    plan: &EvalPlan,
    baselines: &[Box<dyn Baseline>],
    watch: &dyn Watch,
) -> Result<(Evaluation, PromptScores)> {
    plan.check()?;
    let plan = &plan.within(task)?;
    let names: Vec<String> =
        std::iter::once(MODEL.into()).chain(baselines.iter().map(|b| b.name())).collect();
    if let Some(i) = (1..names.len()).find(|&i| names[..i].contains(&names[i])) {
        return Err(Error::Data(format!("evaluation: two curves are called {}", names[i])));
    }
    let scale = Scale::of(task, plan.dims);
    let mut of_model = Scores::new(plan.points);
    let mut beside: Vec<Beside<'_>> =
        baselines.iter().map(|baseline| Beside::new(baseline.as_ref(), plan.points)).collect();
    let mut per_loop = Scores::new(plan.loops);
    let mut fingerprints = Vec::new();
    let mut sums = Sums::new(plan.loops, plan.points);
    // Whole lots, at least as many prompts as the model predicts at a time.
    let at_once = plan.chunk.min(plan.prompts).next_multiple_of(LOT);
    let chunk = plan.chunk.min((AT_ONCE / plan.loops).max(8));
    for first in (0..plan.prompts).step_by(at_once) {
        let drawn = plan.draw(task, first, at_once)?;
        fingerprints.extend((0..drawn.prompts).map(|i| fingerprint(&drawn, i, plan.dims)));
        for start in (0..drawn.prompts).step_by(chunk) {
            watch.check()?;
            let prompts = drawn.slice(start..(start + chunk).min(drawn.prompts));
            let predictions = predictor.predict(&prompts, plan.loops)?;
            check_shape(&predictions, &prompts, plan.loops)?;
            scale.score(predictions.after(plan.loops - 1), &prompts, &mut of_model);
            for i in 0..prompts.prompts {
                let last = (i + 1) * plan.points - 1;
                let after = |index| scale.of_one(predictions.after(index)[last], prompts.ys[last]);
                per_loop.push((0..plan.loops).map(after));
            }
            let pairs = predictions.values.chunks_exact(prompts.ys.len());
            for (index, after) in pairs.enumerate() {
                sums.add(index, after.iter().zip(&prompts.ys).map(|(&p, &y)| scale.of_one(p, y)));
            }
        }
        for one in &mut beside {
            one.score(&drawn, plan.dims, &scale, watch)?;
        }
        watch.advanced(first + drawn.prompts, plan.prompts);
    }
    let mut curves = vec![(MODEL.to_owned(), of_model)];
    let mut failed_baselines = BTreeMap::new();
    for one in beside {
        match one.scores {
            Ok(scores) => curves.push((one.baseline.name(), scores)),
            Err(why) => drop(failed_baselines.insert(one.baseline.name(), why)),
        }
    }
    let scores = PromptScores { prompts: fingerprints, curves, per_loop };
    let curve = |scores: &Scores| scores.curve(plan.resamples, plan.seed);
    let evaluation = Evaluation {
        format: Evaluation::FORMAT,
        task: task.typetag_name().into(),
        prompts: plan.prompts,
        trained_on: task.scores_on_training_prompts(),
        seed: plan.seed,
        loops: plan.loops,
        normaliser: scale.normaliser,
        dims: plan.dims,
        score: scale.objective.score_name().into(),
        curves: Curves(scores.curves.iter().map(|(name, of)| (name.clone(), curve(of))).collect()),
        failed_baselines,
        per_loop: curve(&scores.per_loop),
        converged_at: sums.converged_at(),
        state_change: None,
    };
    Ok((evaluation, scores))
}

fn check_shape(predictions: &Predictions, prompts: &Prompts, loops: usize) -> Result<()> {
    let (got, expected) = (
        (predictions.loops, predictions.prompts, predictions.points),
        (loops, prompts.prompts, prompts.points),
    );
    if got == expected && predictions.values.len() == loops * prompts.ys.len() {
        Ok(())
    } else {
        Err(Error::Data(format!(
            "evaluation: the model gave predictions of shape {got:?} (loops, prompts, points), asked for {expected:?}"
        )))
    }
}

/// A baseline and its scores so far, or why it has none.
struct Beside<'a> {
    baseline: &'a dyn Baseline,
    scores: std::result::Result<Scores, String>,
}

impl<'a> Beside<'a> {
    fn new(baseline: &'a dyn Baseline, points: usize) -> Self {
        Self { baseline, scores: Ok(Scores::new(points)) }
    }

    /// Adds the scores of more prompts; a baseline that has failed once is not asked again.
    fn score(&mut self, drawn: &Prompts, dims: usize, scale: &Scale, watch: &dyn Watch) -> Result<()> {
        let Ok(scores) = &mut self.scores else { return Ok(()) };
        match predictions_of(self.baseline, drawn, dims, watch) {
            Ok(predictions) => scale.score(&predictions, drawn, scores),
            Err(Error::Stopped) => return Err(Error::Stopped),
            Err(error) => self.scores = Err(reason(error)),
        }
        Ok(())
    }
}

/// How a task's predictions are scored.
struct Scale {
    objective: Objective,
    /// What scores are divided by.
    normaliser: f64,
}

impl Scale {
    fn of(task: &dyn Task, dims: usize) -> Self {
        let objective = task.objective();
        let normaliser = match objective {
            Objective::SquaredError => task.normaliser(dims),
            Objective::CrossEntropy => 1.0,
        };
        Self { objective, normaliser }
    }

    fn of_one(&self, prediction: f32, y: f32) -> f64 {
        self.objective.score(prediction, y) / self.normaliser
    }

    /// Adds the scores of every prompt; `predictions` is (prompts, points).
    fn score(&self, predictions: &[f32], prompts: &Prompts, scores: &mut Scores) {
        let rows = predictions.chunks_exact(prompts.points).zip(prompts.ys.chunks_exact(prompts.points));
        rows.for_each(|(p, y)| scores.push(p.iter().zip(y).map(|(&p, &y)| self.of_one(p, y))));
    }
}
