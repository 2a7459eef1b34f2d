//! One training step, from prompts to updated parameters.

use std::sync::Arc;

use candle_core::Device;
use looped_config::Experiment;
use looped_core::{LoopPlan, Prompts, Request, Rng, Split};
use looped_curriculum::Stage;

use crate::adam::{clip, global_norm};
use crate::checkpoint::{Checkpoint, State};
use crate::{Adam, Model, Result, StepPlan, TrainError, Validation};

/// An experiment in training: the model, its optimiser, and how far they are.
///
/// Step s draws its prompts from the stream (seed, "training prompts", s), so a trainer restored from a checkpoint goes
/// on to the same bits as one that never stopped.
pub struct Trainer {
    experiment: Arc<Experiment>,
    model: Model,
    adam: Adam,
    step: usize,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// The step, from 0.
    pub step: usize,
    /// The curriculum's stage.
    pub stage: Stage,
    /// The loss on the step's batch, before the update.
    pub loss: f64,
    /// The norm of all gradients together, before clipping.
    pub grad_norm: f64,
}

impl Trainer {
    /// A trainer at step 0.
    ///
    /// # Errors
    /// If the model can't be built on the device.
    pub fn new(experiment: Arc<Experiment>, device: &Device) -> Result<Self> {
        let model = Model::of(&experiment, device)?;
        let training = &experiment.training;
        let adam = Adam::new(model.parameters(), training.learning_rate, training.weight_decay)?;
        Ok(Self { experiment, model, adam, step: 0 })
    }

    /// What is trained.
    #[must_use]
    pub fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    /// The model as it is now.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Steps done.
    #[must_use]
    pub fn steps_done(&self) -> usize {
        self.step
    }

    /// Whether all of the experiment's steps are done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.step >= self.experiment.training.train_steps
    }

    /// The learning rate of the next step: the experiment's, unless set.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        self.adam.learning_rate()
    }

    /// Sets the learning rate from the next step on, for a schedule of one's own.
    ///
    /// A checkpoint doesn't hold it: who resumes sets it again, from [`Trainer::steps_done`].
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.adam.set_learning_rate(learning_rate);
    }

    /// Runs one step on a fresh batch, at the curriculum's stage.
    ///
    /// # Errors
    /// If prompts can't be had, memory runs out, or the loss or gradient isn't finite; then no parameter has changed.
    pub fn step(&mut self) -> Result<StepReport> {
        self.step_at(self.experiment.training.curriculum.at(self.step))
    }

    /// [`Trainer::step`] at a stage of the caller's, for a curriculum of one's own.
    ///
    /// # Errors
    /// If the model hasn't room for the stage, and as [`Trainer::step`].
    pub fn step_at(&mut self, stage: Stage) -> Result<StepReport> {
        self.refuse_unless_it_fits(stage)?;
        let training = &self.experiment.training;
        let prompts = self.prompts(stage)?;
        let (loss, mut gradients) = self.model.loss_and_gradients(&prompts, self.plan(stage))?;
        let grad_norm = global_norm(&gradients)?;
        for (what, value) in [("the loss", loss), ("the gradient's norm", grad_norm)] {
            if !value.is_finite() {
                return Err(TrainError::NonFinite { what, value, step: self.step });
            }
        }
        if let Some(largest) = training.gradient_clip {
            clip(&mut gradients, grad_norm, largest)?;
        }
        self.adam.update(self.model.parameters(), &gradients)?;
        let report = StepReport { step: self.step, stage, loss, grad_norm };
        self.step += 1;
        Ok(report)
    }

    /// The loss on the [`Validation`] prompts, which draws from a stream of its own: it changes no later step.
    ///
    /// # Errors
    /// If prompts can't be had, or memory runs out.
    pub fn validation_loss(&self) -> Result<f64> {
        Validation::of(&self.experiment)?.loss(&self.model)
    }

    /// All that a later [`Trainer::restore`] needs.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        let (optimizer, updates) = self.adam.state();
        Checkpoint {
            model: self.model.values(),
            optimizer,
            state: State::after(self.step, updates, self.experiment.seed),
        }
    }

    /// Goes on from a checkpoint of the same experiment.
    ///
    /// # Errors
    /// If it belongs to another model or seed; then nothing was changed.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let seed = checkpoint.state.generator.seed;
        if seed != self.experiment.seed {
            let message =
                format!("the checkpoint's seed is {seed}, the experiment's {}", self.experiment.seed);
            return Err(TrainError::Refused(message));
        }
        self.model.load(&checkpoint.model)?;
        self.adam.restore(&checkpoint.optimizer, checkpoint.state.optimizer_updates)?;
        self.step = checkpoint.state.step;
        Ok(())
    }

    fn refuse_unless_it_fits(&self, stage: Stage) -> Result<()> {
        let model = &self.experiment.model;
        for (what, value, most) in [
            ("dims", stage.dims, model.n_dims),
            ("points", stage.points, model.n_positions),
            ("loops", stage.loops, usize::MAX),
        ] {
            if value == 0 || value > most {
                let message = format!("step {}: {what} is {value}; allowed: 1 to {most}", self.step);
                return Err(TrainError::Refused(message));
            }
        }
        Ok(())
    }

    fn plan(&self, stage: Stage) -> StepPlan {
        let window = self.experiment.training.n_loop_window;
        StepPlan {
            loops: LoopPlan { loops: stage.loops, window },
            loss_loops: self.experiment.training.n_loss_loops.unwrap_or(window),
            objective: self.experiment.task.objective(),
        }
    }

    /// The prompts of the present step.
    fn prompts(&self, stage: Stage) -> Result<Prompts> {
        let (count, index) = (self.experiment.training.batch_size, self.step as u64);
        let request = Request {
            prompts: count,
            points: stage.points,
            dims: stage.dims,
            n_dims: self.experiment.model.n_dims,
            first: index * count as u64,
            split: Split::Train,
        };
        let mut rng = Rng::stream(self.experiment.seed, "training prompts", index);
        Ok(self.experiment.task.sample(request, &mut rng)?)
    }
}
