//! A model probed after every loop, beside the controls.

use candle_core::Device;
use looped_core::{Error, Looping, ModelConfig, Prompts, Result, Split, Stateful, Task, Watch};
use looped_eval::{Curve, EvalPlan, Scores};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::net::Net;
use crate::rows::{Rows, States, squared_distance};
use crate::target::Target;

/// The nets are trained on so many times the prompts that they are scored on.
const TRAINED_ON: usize = 4;

/// Fewest prompts a coordinate of the target that nets are scored on.
const FEWEST: usize = 4;

/// What probes read: the contents of `probe.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probing {
    /// The task's `type`.
    pub task: String,
    /// How many prompts the probes were scored on, and the intervals drawn from.
    pub prompts: usize,
    /// How many others they were trained on.
    pub trained_on: usize,
    /// What prompts, nets and resamples were drawn from.
    pub seed: u64,
    /// Points in each prompt.
    pub points: usize,
    /// Coordinates of x in use, and of what is read.
    pub dims: usize,
    /// Loops of the model.
    pub loops: usize,
    /// How well X^T y was read.
    pub xty: Readings,
    /// How well the weights of least squares were read.
    pub least_squares: Readings,
}

impl Probing {
    /// Each target with its readings.
    #[must_use]
    pub fn readings(&self) -> [(Target, &Readings); 2] {
        [(Target::Xty, &self.xty), (Target::LeastSquares, &self.least_squares)]
    }
}

/// Squared error divided by the target's variance, so that 1 is what its mean would have; entry l is after loop l + 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readings {
    /// From the model's states.
    pub model: Curve,
    /// From the states of the same model before its first step.
    pub untrained: Curve,
    /// From the model's states, the target being another prompt's.
    pub shuffled: Curve,
}

/// Probes `model` after each of the plan's loops. `untrained` is the same model before its first step; the probes are
/// scored on the prompts that [`looped_eval::evaluate`] scores a model on, and trained on the ones that come after. Where
/// the task has only so many, fewer are scored, so that no net is scored on what it learnt from.
/// `watch` hears of every loop that is done.
///
/// # Errors
/// If the plan can't work: see [`EvalPlan::check`]; prompts with fewer points than coordinates don't tell the weights,
/// and a few prompts don't tell a net. If drawing prompts or a tensor operation fails, or `watch` wants to stop.
pub fn probe(
    model: &dyn Stateful,
    untrained: &dyn Stateful,
    device: &Device,
    task: &dyn Task,
    plan: &EvalPlan,
    watch: &dyn Watch,
) -> Result<Probing> {
    let plan = &apart(plan, task)?;
    check(plan)?;
    let trained_on = TRAINED_ON * plan.prompts;
    let all = EvalPlan { prompts: plan.prompts + trained_on, ..plan.clone() };
    let prompts = all.draw(task, 0, all.prompts)?;
    let [xty, least_squares] = [Target::Xty, Target::LeastSquares].map(|target| {
        let target = target.standardised(&target.of(&prompts, plan.dims))?;
        Ok::<_, Error>((another_prompts(&target), target))
    });
    let (xty, least_squares) = (xty?, least_squares?);

    let mut model = Batches::start(model, &prompts, plan, device)?;
    let mut blank = Batches::start(untrained, &prompts, plan, device)?;
    // For each target and kind of reading, the errors of each loop.
    let mut errors: [Vec<Vec<f64>>; 6] = Default::default();
    for done in 1..=plan.loops {
        watch.check()?;
        let (states, blank) = (model.next_state()?, blank.next_state()?);
        let of_target = |(other, own)| [(&states, own), (&blank, own), (&states, other)];
        let nets = [&xty, &least_squares].map(|(other, own)| of_target((other, own))).concat();
        let read = |(states, target)| reading_errors(states, target, plan.prompts, plan.seed, watch);
        let found: Vec<Vec<f64>> = nets.into_par_iter().map(read).collect::<Result<_>>()?;
        errors.iter_mut().zip(found).for_each(|(errors, found)| errors.push(found));
        watch.advanced(done, plan.loops);
    }
    let [x1, x2, x3, w1, w2, w3] = errors.map(|errors| curve(&errors, plan));
    Ok(Probing {
        task: task.typetag_name().into(),
        prompts: plan.prompts,
        trained_on,
        seed: plan.seed,
        points: plan.points,
        dims: plan.dims,
        loops: plan.loops,
        xty: Readings { model: x1, untrained: x2, shuffled: x3 },
        least_squares: Readings { model: w1, untrained: w2, shuffled: w3 },
    })
}

/// Bytes that [`probe`] takes beside the model: for each of two models the input and the state of all prompts in the loops,
/// and the state again as the nets read it. An estimate.
#[must_use]
pub fn memory_of_probing(model: &ModelConfig, plan: &EvalPlan) -> f64 {
    let prompts = (1 + TRAINED_ON) as f64 * plan.prompts as f64;
    let state = 2.0 * plan.points as f64 * model.n_embd as f64;
    let values = plan.points as f64 * (model.n_dims + 1) as f64;
    // The means of each resample, for each loop.
    let means = 8.0 * plan.resamples as f64 * plan.loops as f64;
    4.0 * prompts * (STATES * state + 2.0 * values) + means
}

/// How many times the states of all prompts are there at once.
const STATES: f64 = 9.0;

/// The plan with so few prompts that the nets have others to learn from, where the task has only so many.
fn apart(plan: &EvalPlan, task: &dyn Task) -> Result<EvalPlan> {
    let Some(count) = task.count(Split::Evaluation)? else { return Ok(plan.clone()) };
    let (each, least) = (1 + TRAINED_ON, FEWEST * plan.dims);
    if count < each * least {
        return Err(Error::Data(format!(
            "probing: the task has {count} prompts to score on; nets for {} coordinates need {least}, and {TRAINED_ON} times \
             as many others to learn from: {} in all",
            plan.dims,
            each * least
        )));
    }
    Ok(EvalPlan { prompts: plan.prompts.min(count / each), ..plan.clone() })
}

fn check(plan: &EvalPlan) -> Result<()> {
    plan.check()?;
    let EvalPlan { prompts, points, dims, .. } = *plan;
    if points < dims {
        return Err(Error::Data(format!(
            "probing: prompts of {points} points don't tell the {dims} weights of least squares; it takes at least as many points as dims"
        )));
    }
    if prompts < FEWEST * dims {
        return Err(Error::Data(format!(
            "probing: {prompts} prompts are too few to score the reading of {dims} coordinates; it takes at least {}",
            FEWEST * dims
        )));
    }
    Ok(())
}

/// Each prompt's target given to another prompt, half the prompts away.
fn another_prompts(target: &Rows) -> Rows {
    let mut values = target.values.clone();
    values.rotate_left(target.count() / 2 * target.width);
    Rows { values, width: target.width }
}

/// Trains a net on all prompts but the first `scored`, and scores it on these: the squared error of each, divided by
/// the variance of their targets.
fn reading_errors(
    states: &States,
    target: &Rows,
    scored: usize,
    seed: u64,
    watch: &dyn Watch,
) -> Result<Vec<f64>> {
    let read = Net::fit(states, target, scored, seed, watch)?.read(states, scored);
    let values = target.values[..scored * target.width].to_vec();
    let target = Rows { values, width: target.width };
    let mean = target.mean();
    let from_mean = (0..scored).map(|i| squared_distance(target.of(i), mean.iter().copied()));
    let variance = from_mean.sum::<f64>() / scored as f64;
    let error = |i| squared_distance(read.of(i), target.of(i).iter().copied().map(f64::from)) / variance;
    Ok((0..scored).map(error).collect())
}

/// The curve of the errors of each loop and prompt.
fn curve(errors: &[Vec<f64>], plan: &EvalPlan) -> Curve {
    let mut scores = Scores::new(plan.loops);
    (0..plan.prompts).for_each(|i| scores.push(errors.iter().map(|of_loop| of_loop[i])));
    scores.curve(plan.resamples, plan.seed)
}

/// Numbers from which on candle shares an operation on the CPU out to threads, which wait for one another by spinning.
const SHARED_OUT: usize = 64 * 1024;

/// All prompts in the loops of a model, so many at a time: only the states of one loop are kept.
struct Batches<'a>(Vec<Looping<'a>>);

impl<'a> Batches<'a> {
    fn start(model: &'a dyn Stateful, prompts: &Prompts, plan: &EvalPlan, device: &Device) -> Result<Self> {
        // On the CPU a thread takes whole batches, small enough for each of its operations, the widest of which holds 4
        // widths a token, to stay its own.
        let widest = prompts.layout.tokens(prompts.points) * 4 * model.width();
        let at_once = if device.is_cpu() { plan.chunk.min((SHARED_OUT / widest).max(1)) } else { plan.chunk };
        let of = |first: usize| {
            model.looping(&prompts.slice(first..(first + at_once).min(prompts.prompts)), plan.loops)
        };
        let batches = (0..prompts.prompts).step_by(at_once).map(of);
        Ok(Self(batches.collect::<Result<_>>()?))
    }

    /// Runs one loop, on all threads.
    fn next_state(&mut self) -> Result<States> {
        let values = |looping: &mut Looping<'_>| -> Result<(Vec<f32>, usize, usize)> {
            let state = looping.next_state()?;
            let (_, tokens, width) = state.dims3()?;
            Ok((state.flatten_all()?.to_vec1()?, tokens, width))
        };
        let batches: Vec<_> = self.0.par_iter_mut().map(values).collect::<Result<_>>()?;
        let (tokens, width) = batches.first().map_or((0, 0), |(_, tokens, width)| (*tokens, *width));
        Ok(States { values: batches.into_iter().flat_map(|(values, ..)| values).collect(), tokens, width })
    }
}

#[cfg(test)]
mod tests;
