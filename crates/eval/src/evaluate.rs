//! Scoring a model on fresh prompts.

use std::collections::BTreeMap;

use looped_core::{
    Baseline, Error, Objective, Predictions, Predictor, Prompts, Result, Task, Watch, score_scale,
};

use crate::baselines::{predictions_by_loop, predictions_of, reason};
use crate::convergence::Sums;
use crate::plan::LOT;
use crate::prompt_scores::fingerprint;
use crate::{Curves, EvalPlan, Evaluation, MODEL, PromptScores, Scores};

/// Most prompts times loops that the model is asked for at a time: so often can an evaluation be stopped.
const AT_ONCE: usize = 64 * LOT;

/// Scores a model and the baselines on fresh prompts of a task; `watch` hears of every 64 prompts that are done.
///
/// The model's curve is after the last loop. Prompts are drawn from the plan's seed (stream `evaluation`) as
/// [`Split::Evaluation`](looped_core::Split::Evaluation): never those of training, unless the task has no others; and never
/// more than the task has. Scores that aren't finite, of a model that diverged, are
/// kept as such: see [`Curve`](crate::Curve). A task whose prompts are tokens has no baselines, which are fitted to points. A baseline that
/// fails costs its own curve alone:
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
    let baselines = if task.alphabet().is_some() { &[] } else { baselines };
    let names: Vec<String> =
        std::iter::once(MODEL.into()).chain(baselines.iter().map(|b| b.name())).collect();
    if let Some(i) = (1..names.len()).find(|&i| names[..i].contains(&names[i])) {
        return Err(Error::Data(format!("evaluation: two curves are called {}", names[i])));
    }
    let scale = Scale::of(task, plan.dims);
    let mut of_model = Scores::new(plan.points);
    let mut beside: Vec<Beside<'_>> =
        baselines.iter().map(|baseline| Beside::new(baseline.as_ref(), plan)).collect();
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
            let width = predictions.width;
            for i in 0..prompts.prompts {
                let last = (i + 1) * plan.points - 1;
                let after = |index| {
                    let numbers = &predictions.after(index)[last * width..(last + 1) * width];
                    scale.of_one(numbers, prompts.ys[last])
                };
                per_loop.push((0..plan.loops).map(after));
            }
            for index in 0..plan.loops {
                sums.add(index, scale.of_all(predictions.after(index), &prompts));
            }
        }
        for one in &mut beside {
            one.score(&drawn, plan, &scale, watch)?;
        }
        watch.advanced(first + drawn.prompts, plan.prompts);
    }
    let mut curves = vec![(MODEL.to_owned(), of_model)];
    let mut baselines_per_loop = Vec::new();
    let mut failed_baselines = BTreeMap::new();
    for one in beside {
        let name = one.baseline.name();
        match one.scores {
            Ok(scores) => {
                baselines_per_loop.extend(one.per_loop.map(|per_loop| (name.clone(), per_loop)));
                curves.push((name, scores));
            }
            Err(why) => drop(failed_baselines.insert(name, why)),
        }
    }
    let scores = PromptScores { prompts: fingerprints, curves, per_loop, baselines_per_loop };
    let curve = |scores: &Scores| scores.curve(plan.resamples, plan.seed);
    let curves_of =
        |all: &[(String, Scores)]| Curves(all.iter().map(|(name, of)| (name.clone(), curve(of))).collect());
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
        by_length: if task.alphabet().is_some() { sums.means(plan.prompts) } else { Vec::new() },
        curves: curves_of(&scores.curves),
        failed_baselines,
        per_loop: curve(&scores.per_loop),
        baselines_per_loop: curves_of(&scores.baselines_per_loop),
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
    if got == expected && predictions.values.len() == loops * prompts.ys.len() * predictions.width {
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
    /// At the last query after each loop, of one that takes a step for each.
    per_loop: Option<Scores>,
}

impl<'a> Beside<'a> {
    fn new(baseline: &'a dyn Baseline, plan: &EvalPlan) -> Self {
        let per_loop = baseline.by_loop().map(|_| Scores::new(plan.loops));
        Self { baseline, scores: Ok(Scores::new(plan.points)), per_loop }
    }

    /// Adds the scores of more prompts; a baseline that has failed once is not asked again.
    fn score(&mut self, drawn: &Prompts, plan: &EvalPlan, scale: &Scale, watch: &dyn Watch) -> Result<()> {
        let Ok(scores) = &mut self.scores else { return Ok(()) };
        let found = match self.baseline.by_loop() {
            Some(by_loop) => predictions_by_loop(by_loop, drawn, (plan.dims, plan.loops), watch),
            None => predictions_of(self.baseline, drawn, plan.dims, watch).map(|all| (all, Vec::new())),
        };
        match found {
            Ok((after_last, last_query)) => {
                scale.score(&after_last, drawn, scores);
                if let Some(per_loop) = &mut self.per_loop {
                    for (i, after) in last_query.chunks_exact(plan.loops).enumerate() {
                        let y = drawn.ys[(i + 1) * plan.points - 1];
                        per_loop.push(after.iter().map(|&prediction| scale.of_one(&[prediction], y)));
                    }
                }
            }
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
        let (objective, normaliser) = (task.objective(), score_scale(task, dims));
        Self { objective, normaliser }
    }

    fn of_one(&self, prediction: &[f32], y: f32) -> f64 {
        self.objective.score(prediction, y) / self.normaliser
    }

    /// The score of every prediction; `predictions` is (prompts, points, numbers).
    fn of_all<'a>(&'a self, predictions: &'a [f32], prompts: &'a Prompts) -> impl Iterator<Item = f64> + 'a {
        let width = predictions.len() / prompts.ys.len().max(1);
        predictions.chunks_exact(width.max(1)).zip(&prompts.ys).map(|(p, &y)| self.of_one(p, y))
    }

    /// Adds the scores of every prompt; `predictions` is (prompts, points, numbers).
    fn score(&self, predictions: &[f32], prompts: &Prompts, scores: &mut Scores) {
        let mut all = self.of_all(predictions, prompts);
        (0..prompts.prompts).for_each(|_| scores.push(all.by_ref().take(prompts.points)));
    }
}
