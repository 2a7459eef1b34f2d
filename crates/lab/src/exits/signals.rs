//! The numbers that rules look at, prompt by prompt and loop by loop.

use candle_core::Device;
use looped_core::{Objective, Predictor, Prompts, Result, Stateful, Stretch, Task, score_scale};
use looped_eval::{EvalPlan, Scores};

use crate::states::{Counter, by_batches, minus, norm, values};

/// Prompts that the model predicts at a time.
const AT_ONCE: usize = 256;

/// A number after each loop of each prompt, below which a rule stops.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// The rule's name.
    pub name: String,
    /// The number of loops in a row at which it must be below the threshold.
    pub in_a_row: usize,
    /// `[prompt][loop]`; NaN where there is no number yet: never below a threshold.
    pub values: Vec<Vec<f64>>,
}

impl Signal {
    /// The loop, from 1, at which each prompt stops at this threshold.
    #[must_use]
    pub fn exits(&self, threshold: f64) -> Vec<usize> {
        let exit = |values: &Vec<f64>| {
            let hit = self.held(values).position(|value| value < threshold);
            hit.map_or(values.len(), |index| index + 1)
        };
        self.values.iter().map(exit).collect()
    }

    /// The part of the prompts for which the rule fires before the last loop.
    #[must_use]
    pub fn fires(&self, threshold: f64) -> f64 {
        let last = self.values.first().map_or(0, Vec::len);
        self.exits(threshold).iter().filter(|exit| **exit < last).count() as f64 / self.values.len() as f64
    }

    /// The number above which a threshold makes the rule fire for some prompt before the last loop; nothing if none does.
    #[must_use]
    pub fn fires_above(&self) -> Option<f64> {
        let all = self.values.iter().flat_map(|values| self.held(values).take(values.len() - 1));
        Some(all.filter(|value| !value.is_nan()).fold(f64::INFINITY, f64::min))
            .filter(|least| least.is_finite())
    }

    /// After each loop the largest of the numbers that must be below the threshold: NaN where there are not enough yet.
    pub(super) fn held<'a>(&self, values: &'a [f64]) -> impl Iterator<Item = f64> + use<'a> {
        let in_a_row = self.in_a_row;
        (0..values.len()).map(move |index| {
            let Some(first) = (index + 1).checked_sub(in_a_row) else { return f64::NAN };
            // Not `f64::max`, which would leave out what is no number.
            values[first..=index]
                .iter()
                .copied()
                .fold(0.0, |most, v| if v.is_nan() || v > most { v } else { most })
        })
    }
}

/// A model that is looked at.
pub(super) struct Measuring<'a, M> {
    pub(super) model: &'a M,
    pub(super) device: &'a Device,
    pub(super) task: &'a dyn Task,
    pub(super) loops: usize,
}

/// What was seen on some prompts.
pub(super) struct Seen {
    /// The error at the last query: a row a prompt, a column a loop.
    pub(super) errors: Scores,
    pub(super) signals: Vec<Signal>,
}

impl<M: Stateful + Predictor> Measuring<'_, M> {
    /// Looks at prompts, whose last point is the query.
    pub(super) fn look(&self, prompts: &Prompts, eval: &EvalPlan, watch: &Stretch<'_>) -> Result<Seen> {
        let (loops, points) = (self.loops, prompts.points);
        let (objective, scale) = (self.task.objective(), score_scale(self.task, eval.dims));
        // What a prediction is held against: the root of what squared errors are divided by. A class is -1 or 1.
        let size = if objective == Objective::SquaredError { scale.sqrt() } else { 1.0 };
        let answers = self.answers(prompts, watch)?;
        let mut errors = Scores::new(loops);
        for (i, answers) in answers.iter().enumerate() {
            let y = prompts.ys[(i + 1) * points - 1];
            errors.push(answers.iter().map(|&answer| {
                let score = objective.score(&[answer], y) / scale;
                if objective == Objective::SquaredError { score } else { 1.0 - score }
            }));
        }
        let change = |answers: &Vec<f32>| -> Vec<f64> {
            let steps = answers.windows(2).map(|pair| f64::from((pair[1] - pair[0]).abs()) / size);
            std::iter::once(f64::NAN).chain(steps).collect()
        };
        let (state, acceleration) = self.states(prompts, watch)?;
        let signal = |name: &str, in_a_row, values| Signal { name: name.to_owned(), in_a_row, values };
        let mut signals = vec![
            signal("prediction", 1, answers.iter().map(change).collect()),
            signal("state", 1, state),
            signal("acceleration", 2, acceleration),
            signal("context", 1, self.left_out(prompts, size, watch)?),
        ];
        signals.extend(self.gate(prompts)?.map(|values| signal("gate", 1, values)));
        Ok(Seen { errors, signals })
    }

    /// The probability that the model's own gate goes on after each loop, at the last query.
    fn gate(&self, prompts: &Prompts) -> Result<Option<Vec<Vec<f64>>>> {
        let mut all = Vec::with_capacity(prompts.prompts);
        for first in (0..prompts.prompts).step_by(AT_ONCE) {
            let some = prompts.slice(first..prompts.prompts.min(first + AT_ONCE));
            let Some(logits) = self.model.gates(&some, self.loops)? else { return Ok(None) };
            let (count, points) = (some.prompts, some.points);
            for prompt in 0..count {
                let after = |index: usize| f64::from(logits[(index * count + prompt + 1) * points - 1]);
                let goes_on = (0..self.loops).scan(1.0, |left, index| {
                    *left /= 1.0 + after(index).exp();
                    Some(*left)
                });
                all.push(goes_on.collect());
            }
        }
        Ok(Some(all))
    }

    /// The prediction at the last query: `[prompt][loop]`.
    fn answers(&self, prompts: &Prompts, watch: &Stretch<'_>) -> Result<Vec<Vec<f32>>> {
        let mut found = Vec::with_capacity(prompts.prompts);
        for first in (0..prompts.prompts).step_by(AT_ONCE) {
            looped_core::Watch::check(watch)?;
            let some = prompts.slice(first..(first + AT_ONCE).min(prompts.prompts));
            let predictions = self.model.predict(&some, self.loops)?;
            let answer = |i: usize, index| predictions.after(index)[(i + 1) * some.points - 1];
            found.extend(
                (0..some.prompts)
                    .map(|i| (0..self.loops).map(|index| answer(i, index)).collect::<Vec<f32>>()),
            );
        }
        Ok(found)
    }

    /// |D_l| / |Z_l| and |D_l - D_(l-1)| / |Z_l| over all tokens together: `[prompt][loop]` each.
    #[allow(clippy::type_complexity, reason = "two of the same")]
    fn states(&self, prompts: &Prompts, watch: &Stretch<'_>) -> Result<(Vec<Vec<f64>>, Vec<Vec<f64>>)> {
        let counter = Counter::new(self.loops * prompts.prompts, prompts.prompts, watch);
        let batches = by_batches(self.model, prompts, self.device, |_, some| {
            let mut looping = self.model.looping(&some, self.loops)?;
            let mut found = vec![(Vec::new(), Vec::new()); some.prompts];
            let (mut before, mut step_before): (Option<Vec<f32>>, Option<Vec<f32>>) = (None, None);
            for _ in 0..self.loops {
                let state = values(&mut looping)?;
                let each = state.len() / some.prompts;
                let step = before.as_ref().map(|before| minus(&state, before));
                let turn = step.as_ref().zip(step_before.as_ref()).map(|(a, b)| minus(a, b));
                for (i, (steps, turns)) in found.iter_mut().enumerate() {
                    let own = i * each..(i + 1) * each;
                    let size = norm(&state[own.clone()]);
                    let relative = |moved: &Option<Vec<f32>>| {
                        moved.as_ref().map_or(f64::NAN, |moved| norm(&moved[own.clone()]) / size)
                    };
                    steps.push(relative(&step));
                    turns.push(relative(&turn));
                }
                (before, step_before) = (Some(state), step);
                counter.add(some.prompts)?;
            }
            Ok(found)
        })?;
        Ok(batches.into_iter().flatten().unzip())
    }

    /// How well the model predicts a prompt's own examples, each from the others: the root of the mean squared residual, relative to `size`,
    /// `[prompt][loop]`.
    fn left_out(&self, prompts: &Prompts, size: f64, watch: &Stretch<'_>) -> Result<Vec<Vec<f64>>> {
        let examples = prompts.points - 1;
        let mut found = Vec::with_capacity(prompts.prompts);
        let at_once = (AT_ONCE / examples).max(1);
        for first in (0..prompts.prompts).step_by(at_once) {
            looped_core::Watch::check(watch)?;
            let range = first..(first + at_once).min(prompts.prompts);
            let asked = without_each(prompts, range.clone());
            let predictions = self.model.predict(&asked, self.loops)?;
            for i in 0..range.len() {
                let residual = |index: usize| -> f64 {
                    let square = |j: usize| {
                        let at = (i * examples + j + 1) * examples - 1;
                        f64::from(predictions.after(index)[at] - asked.ys[at]).powi(2)
                    };
                    ((0..examples).map(square).sum::<f64>() / examples as f64).sqrt() / size
                };
                found.push((0..self.loops).map(residual).collect());
            }
        }
        Ok(found)
    }
}

/// For each example of each prompt: the others, and then this one as the query.
pub(super) fn without_each(prompts: &Prompts, range: std::ops::Range<usize>) -> Prompts {
    let (width, examples) = (prompts.n_dims, prompts.points - 1);
    let (mut xs, mut ys) = (Vec::new(), Vec::new());
    let (count, noise) = (range.len() * examples, prompts.noise.after(range.start * examples));
    for i in range {
        let (all_xs, all_ys) = prompts.get(i);
        for left_out in 0..examples {
            let order = (0..examples).filter(|&j| j != left_out).chain([left_out]);
            for j in order {
                xs.extend_from_slice(&all_xs[j * width..(j + 1) * width]);
                ys.push(all_ys[j]);
            }
        }
    }
    Prompts::pairs(xs, ys, [count, examples, width]).with_noise(noise)
}
