//! One model on several kinds of prompts: what it was trained on, and shifts away from it.

use looped_core::{Baseline, Error, Predictor, Result, Stretch, Task, Watch};
use serde::{Deserialize, Serialize};

use crate::{Curve, Curves, EvalPlan, Evaluation, evaluate};

/// A kind of prompts to score a model on.
#[derive(Debug)]
pub struct Shift {
    /// Its name in tables and files.
    pub name: String,
    /// Where its prompts come from.
    pub task: Box<dyn Task>,
    /// Whether only a prompt's last point is shifted against the others. Then the score after k examples takes prompts
    /// of k + 1 points, for each k of [`examples`].
    pub query_only: bool,
    /// The most points that its prompts can have.
    pub most_points: Option<usize>,
}

/// What a suite found: the contents of `eval_ood.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuiteEvaluation {
    /// The suite's name.
    pub suite: String,
    /// Prompts as in training, from the same seed: the same functions at the same points before any shift.
    pub standard: Evaluation,
    /// The shifts, in the suite's order.
    pub shifts: Vec<ShiftEvaluation>,
    /// Shifts that this task doesn't allow, such as scaled class labels.
    pub left_out: Vec<String>,
}

impl SuiteEvaluation {
    /// A sentence for each baseline that failed, on prompts as in training and on each shift.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let of_shift = |shift: &ShiftEvaluation| {
            let name = shift.name.clone();
            let of_evaluation: Vec<String> = shift.evaluation.failures().collect();
            of_evaluation.into_iter().map(move |failure| format!("{name}: {failure}"))
        };
        self.standard.failures().chain(self.shifts.iter().flat_map(of_shift)).collect()
    }
}

/// What a model did on one shift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShiftEvaluation {
    /// The shift's name.
    pub name: String,
    /// The numbers of in-context examples that the entries of the curves stand for.
    pub examples: Vec<usize>,
    /// As in `eval.json`, with its own normaliser; `per_loop` is at the last of `examples`.
    #[serde(flatten)]
    pub evaluation: Evaluation,
}

/// How many numbers of examples a shift of the query is scored at, at most: each takes prompts of its own.
const QUERY_COUNTS: usize = 12;

/// The numbers of examples that a shift of the query is scored at: all below `points`, or 12 evenly spaced ones with
/// 0 and the last.
#[must_use]
pub fn examples(points: usize) -> Vec<usize> {
    let last = points.saturating_sub(1);
    let steps = last.clamp(1, QUERY_COUNTS - 1);
    let mut counts: Vec<usize> = (0..=steps).map(|i| (i * last + steps / 2) / steps).collect();
    counts.dedup();
    counts
}

/// Scores a model and the baselines on prompts as in training and on each shift of them; `watch` hears of the prompts
/// of all of them together.
///
/// # Errors
/// As [`evaluate`]; a message on the data names the shift.
pub fn evaluate_suite(
    name: &str,
    predictor: &dyn Predictor,
    standard: &dyn Task,
    shifts: &[Shift],
    plan: &EvalPlan,
    baselines: &[Box<dyn Baseline>],
    watch: &dyn Watch,
) -> Result<SuiteEvaluation> {
    let points = |shift: &Shift| shift.most_points.map_or(plan.points, |most| plan.points.min(most));
    let evaluations = |shift: &Shift| if shift.query_only { examples(points(shift)).len() } else { 1 };
    let total = plan.prompts * (1 + shifts.iter().map(evaluations).sum::<usize>());
    let of_shift = |shift: &Shift, watch: &dyn Watch| {
        let points = points(shift);
        let plan = EvalPlan { points, ..plan.clone() };
        let task = shift.task.as_ref();
        let (examples, evaluation) = if shift.query_only {
            (examples(points), by_query(predictor, task, &plan, baselines, watch)?)
        } else {
            ((0..points).collect(), evaluate(predictor, task, &plan, baselines, watch)?)
        };
        Ok(ShiftEvaluation { name: shift.name.clone(), examples, evaluation })
    };
    let standard =
        evaluate(predictor, standard, plan, baselines, &Stretch { whole: watch, before: 0, total })?;
    let mut before = plan.prompts;
    let mut found = Vec::with_capacity(shifts.len());
    for shift in shifts {
        let evaluation = of_shift(shift, &Stretch { whole: watch, before, total });
        found.push(evaluation.map_err(|error| match error {
            Error::Data(what) => Error::Data(format!("shift {}: {what}", shift.name)),
            other => other,
        })?);
        before += plan.prompts * evaluations(shift);
    }
    Ok(SuiteEvaluation { suite: name.to_owned(), standard, shifts: found, left_out: Vec::new() })
}

/// An evaluation whose curves have an entry for each of [`examples`], from the last point of prompts of that length.
fn by_query(
    predictor: &dyn Predictor,
    task: &dyn Task,
    plan: &EvalPlan,
    baselines: &[Box<dyn Baseline>],
    watch: &dyn Watch,
) -> Result<Evaluation> {
    let counts = examples(plan.points);
    let total = plan.prompts * counts.len();
    let mut of_lengths = Vec::with_capacity(counts.len());
    for (index, count) in counts.into_iter().enumerate() {
        let of_length = EvalPlan { points: count + 1, ..plan.clone() };
        let watch = Stretch { whole: watch, before: index * plan.prompts, total };
        of_lengths.push(evaluate(predictor, task, &of_length, baselines, &watch)?);
    }
    let failed_baselines = of_lengths.iter().flat_map(|of| of.failed_baselines.clone()).collect();
    let converged_at = of_lengths.iter().filter_map(|of| of.converged_at.last().copied()).collect();
    // A baseline that failed at one length has no curve over all of them.
    let joined = |name: &str| {
        let mut curve = Curve::default();
        for of_length in &of_lengths {
            push_last(&mut curve, of_length.curves.get(name)?);
        }
        Some((name.to_owned(), curve))
    };
    let names =
        of_lengths.first().map_or_else(Vec::new, |of| of.curves.iter().map(|(name, _)| name).collect());
    let curves = Curves(names.into_iter().filter_map(joined).collect());
    match of_lengths.pop() {
        Some(longest) => Ok(Evaluation { curves, failed_baselines, converged_at, ..longest }),
        None => Err(Error::Data("evaluation: points is 0, must be at least 1".into())),
    }
}

fn push_last(to: &mut Curve, from: &Curve) {
    to.mean.extend(from.mean.last());
    to.low.extend(from.low.last());
    to.high.extend(from.high.last());
    to.median.extend(from.median.last());
    to.largest_share.extend(from.largest_share.last());
}
