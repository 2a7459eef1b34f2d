//! How training went: the losses over steps, over operations and over time.

use std::collections::BTreeMap;

use looped_config::Experiment;
use looped_core::score_scale;
use looped_train::{Cost, Record, Result, TrainError};

use crate::comparison::seeds::mean;
use crate::figures::thinned;

/// A logged step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LogPoint {
    pub(crate) step: usize,
    /// Seconds of training up to its end, pauses between stop and resume left out.
    pub(crate) seconds: f64,
    /// CPU seconds of all threads up to its end; NaN where the run didn't log them.
    pub(crate) cpu_seconds: f64,
    /// The training loss, divided by the normaliser of its stage.
    pub(crate) loss: f64,
    pub(crate) validation: Option<Validated>,
}

/// The validation loss, and what had been spent for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Validated {
    pub(crate) loss: f64,
    pub(crate) flops: f64,
}

/// The logged steps of a run's metrics; an error if they log a step that its training doesn't have.
pub(crate) fn log_points(records: &[Record], experiment: &mut Experiment) -> Result<Vec<LogPoint>> {
    let train_steps = experiment.training.train_steps;
    let (mut done, mut seconds, mut cpu_seconds) = (0, 0.0, 0.0);
    let mut log_points = Vec::new();
    for record in records {
        if record.step >= train_steps {
            return Err(TrainError::Refused(format!(
                "metrics.jsonl logs step {}, in a training of {train_steps} steps",
                record.step
            )));
        }
        seconds += (record.step + 1).saturating_sub(done) as f64 / record.steps_per_second.max(1e-9);
        cpu_seconds += record.cpu_seconds.unwrap_or(f64::NAN);
        done = record.step + 1;
        let validation = match record.validation_loss_last_stage {
            None => None,
            Some(loss) => {
                experiment.training.train_steps = done;
                Some(Validated { loss, flops: Cost::of(experiment)?.flops })
            }
        };
        let loss = record.loss / normaliser(experiment, record.stage.dims);
        log_points.push(LogPoint { step: record.step, seconds, cpu_seconds, loss, validation });
    }
    experiment.training.train_steps = train_steps;
    Ok(log_points)
}

/// What a squared error is divided by in reports.
pub(crate) fn normaliser(experiment: &Experiment, dims: usize) -> f64 {
    score_scale(experiment.task.as_ref(), dims)
}

/// The logged steps of several seeds, averaged at the steps that all of them logged.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Of very many some, evenly spread.
    pub(crate) steps: Vec<f64>,
    /// The training loss at these.
    pub(crate) loss: Vec<f64>,
    pub(crate) validation: ValidationHistory,
}

/// Validation losses over three measures of cost.
#[derive(Clone, Debug, Default)]
pub(crate) struct ValidationHistory {
    pub(crate) steps: Vec<f64>,
    pub(crate) flops: Vec<f64>,
    /// CPU seconds; NaN where a run didn't log them.
    pub(crate) cpu_seconds: Vec<f64>,
    /// The losses of each seed.
    pub(crate) of_seeds: Vec<Vec<f64>>,
}

impl History {
    pub(crate) fn of(runs: &[&[LogPoint]]) -> Self {
        let mut by_step: BTreeMap<usize, Vec<LogPoint>> = BTreeMap::new();
        for point in runs.iter().copied().flatten() {
            by_step.entry(point.step).or_default().push(*point);
        }
        let mut history = Self::default();
        let shared: Vec<(usize, Vec<LogPoint>)> =
            by_step.into_iter().filter(|(_, log_points)| log_points.len() == runs.len()).collect();
        for (step, log_points) in thinned(&shared) {
            history.steps.push(*step as f64);
            history.loss.push(mean(log_points.iter().map(|point| point.loss)));
        }
        for (step, log_points) in shared {
            let validation: Vec<Validated> = log_points.iter().filter_map(|point| point.validation).collect();
            if validation.len() == runs.len() {
                let cpu_seconds = mean(log_points.iter().map(|point| point.cpu_seconds));
                history.validation.push(step, cpu_seconds, &validation);
            }
        }
        history
    }
}

impl ValidationHistory {
    fn push(&mut self, step: usize, cpu_seconds: f64, of_seeds: &[Validated]) {
        self.steps.push(step as f64);
        self.flops.push(of_seeds[0].flops);
        self.cpu_seconds.push(cpu_seconds);
        self.of_seeds.resize_with(of_seeds.len(), Vec::new);
        self.of_seeds.iter_mut().zip(of_seeds).for_each(|(losses, of)| losses.push(of.loss));
    }

    /// The mean over the seeds at each step.
    pub(crate) fn mean(&self) -> Vec<f64> {
        (0..self.steps.len()).map(|i| mean(self.of_seeds.iter().map(|losses| losses[i]))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_averaged_at_the_steps_they_share() {
        let point = |step, loss, validation: Option<f64>| LogPoint {
            step,
            seconds: step as f64,
            cpu_seconds: 2.0 * step as f64,
            loss,
            validation: validation.map(|loss| Validated { loss, flops: 10.0 * step as f64 }),
        };
        let a = [point(0, 1.0, Some(4.0)), point(2, 0.5, None), point(3, 9.0, None)];
        let b = [point(0, 3.0, Some(2.0)), point(2, 1.5, Some(1.0))];
        let history = History::of(&[&a, &b]);
        assert_eq!((history.steps, history.loss), (vec![0.0, 2.0], vec![2.0, 1.0]));
        assert_eq!(history.validation.steps, [0.0]);
        assert_eq!(history.validation.of_seeds, [[4.0], [2.0]]);
        assert_eq!(history.validation.mean(), [3.0]);
    }
}
