//! How training went: the losses over steps, over operations and over time.

use std::collections::BTreeMap;

use looped_config::Experiment;
use looped_report::plot::Band;
use looped_train::{Cost, Record, Result, TrainError};

use crate::comparison::seeds::{mean, span};

/// A logged step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LogPoint {
    pub(crate) step: usize,
    /// Seconds of training up to its end, pauses between stop and resume left out.
    pub(crate) seconds: f64,
    pub(crate) loss: f64,
    pub(crate) held_out: Option<HeldOut>,
}

/// The loss on held-out prompts, and what had been spent for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HeldOut {
    pub(crate) loss: f64,
    pub(crate) flops: f64,
}

/// The log_points of a run's metrics; an error if they log a step that its training doesn't have.
pub(crate) fn log_points(records: &[Record], experiment: &mut Experiment) -> Result<Vec<LogPoint>> {
    let train_steps = experiment.training.train_steps;
    let (mut done, mut seconds) = (0, 0.0);
    let mut log_points = Vec::new();
    for record in records {
        if record.step >= train_steps {
            return Err(TrainError::Refused(format!(
                "metrics.jsonl logs step {}, in a training of {train_steps} steps",
                record.step
            )));
        }
        seconds += (record.step + 1).saturating_sub(done) as f64 / record.steps_per_second.max(1e-9);
        done = record.step + 1;
        let held_out = match record.validation_loss {
            None => None,
            Some(loss) => {
                experiment.training.train_steps = done;
                Some(HeldOut { loss, flops: Cost::of(experiment)?.flops })
            }
        };
        log_points.push(LogPoint { step: record.step, seconds, loss: record.loss, held_out });
    }
    experiment.training.train_steps = train_steps;
    Ok(log_points)
}

/// The log_points of several seeds, averaged at the steps that all of them logged.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) steps: Vec<f64>,
    /// The loss of the batches.
    pub(crate) loss: Vec<f64>,
    pub(crate) held_out: HeldOutHistory,
}

/// Losses on held-out prompts over three measures of cost.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldOutHistory {
    pub(crate) steps: Vec<f64>,
    pub(crate) flops: Vec<f64>,
    pub(crate) seconds: Vec<f64>,
    /// The mean, and the span of the seeds.
    pub(crate) loss: Band,
}

impl History {
    pub(crate) fn of(runs: &[&[LogPoint]]) -> Self {
        let mut by_step: BTreeMap<usize, Vec<LogPoint>> = BTreeMap::new();
        for point in runs.iter().copied().flatten() {
            by_step.entry(point.step).or_default().push(*point);
        }
        let mut history = Self::default();
        for (step, log_points) in by_step.into_iter().filter(|(_, log_points)| log_points.len() == runs.len())
        {
            history.steps.push(step as f64);
            history.loss.push(mean(log_points.iter().map(|point| point.loss)));
            let held_out: Vec<HeldOut> = log_points.iter().filter_map(|point| point.held_out).collect();
            if held_out.len() == runs.len() {
                let seconds = mean(log_points.iter().map(|point| point.seconds));
                history.held_out.push(step, seconds, &held_out);
            }
        }
        history
    }
}

impl HeldOutHistory {
    fn push(&mut self, step: usize, seconds: f64, of_seeds: &[HeldOut]) {
        let losses: Vec<f64> = of_seeds.iter().map(|held_out| held_out.loss).collect();
        self.steps.push(step as f64);
        self.flops.push(of_seeds[0].flops);
        self.seconds.push(seconds);
        self.loss.mean.push(mean(losses.iter().copied()));
        let [least, greatest] = span(&losses);
        self.loss.low.push(least);
        self.loss.high.push(greatest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_averaged_at_the_steps_they_share() {
        let point = |step, loss, held_out: Option<f64>| LogPoint {
            step,
            seconds: step as f64,
            loss,
            held_out: held_out.map(|loss| HeldOut { loss, flops: 10.0 * step as f64 }),
        };
        let a = [point(0, 1.0, Some(4.0)), point(2, 0.5, None), point(3, 9.0, None)];
        let b = [point(0, 3.0, Some(2.0)), point(2, 1.5, Some(1.0))];
        let history = History::of(&[&a, &b]);
        assert_eq!((history.steps, history.loss), (vec![0.0, 2.0], vec![2.0, 1.0]));
        assert_eq!(history.held_out.steps, [0.0]);
        assert_eq!(history.held_out.loss, Band { mean: vec![3.0], low: vec![2.0], high: vec![4.0] });
    }
}
