//! One training step, from prompts to updated parameters.

mod by_depth;
mod joined;
mod on_gpu;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use looped_config::Experiment;
use looped_core::{Found, Noise, Prompts, Request, Rng, Split, Tensor};
use looped_curriculum::Stage;

use crate::averaged::Averaged;
use crate::checkpoint::{Checkpoint, Skipped, State};
use crate::gradients::{Gradients, clip, global_norm};
use crate::optimizer::named;
use crate::{Model, Ranks, Result, Target, TrainError, Updater, Validation, default_optimizer};

/// An experiment in training: the model, its optimiser, and how far they are.
///
/// Step s draws its prompts from the stream (seed, "training prompts", s), so a trainer restored from a checkpoint goes
/// on to the same bits as one that never stopped.
pub struct Trainer {
    experiment: Arc<Experiment>,
    model: Model,
    averaged: Option<Averaged>,
    updater: Updater,
    /// Set by the caller, whatever the experiment says.
    learning_rate: Option<f64>,
    step: usize,
    skipped: Skipped,
    data: Data,
    /// Prompts that were drawn early, with the step and the stage that they are for.
    drawn: Option<(usize, Stage, Prompts)>,
    /// The processes that train it together, if it isn't this one alone.
    ranks: Option<Ranks>,
}

/// The data that the task reads.
enum Data {
    /// Not looked at since the trainer began, or since a restore: what its checkpoint knew them by.
    Unseen(Option<String>),
    /// What they are known by.
    Seen(Option<String>),
}

/// What a step did.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// The step, from 0.
    pub step: usize,
    /// The curriculum's stage.
    pub stage: Stage,
    /// The loss on the step's batch, before the update.
    pub loss: f64,
    /// The norm of all gradients together, before clipping.
    pub grad_norm: f64,
    /// The learning rate of its update.
    pub learning_rate: f64,
    /// Whether it changed nothing, because its loss or gradient isn't finite.
    pub skipped: bool,
    /// What the unroll and the regularisers tell of it, by name: the mean over its prompts.
    pub notes: BTreeMap<&'static str, f64>,
}

/// What the first half of a step found.
#[derive(Clone, Debug)]
pub struct StepGradients {
    /// The curriculum's stage.
    pub stage: Stage,
    /// The loss on the step's batch.
    pub loss: f64,
    /// Its gradient with respect to each parameter.
    pub gradients: Gradients,
    /// What the unroll and the regularisers tell of it, by name: the mean over its prompts.
    pub notes: BTreeMap<&'static str, f64>,
}

impl Trainer {
    /// A trainer at step 0, from the weights of `model.pretrained_path` if the experiment names them.
    ///
    /// # Errors
    /// If the model can't be built on the device, or those weights aren't its own.
    pub fn new(experiment: Arc<Experiment>, device: impl Into<Target>) -> Result<Self> {
        let trainer = Self::untrained(experiment, device)?;
        if let Some(path) = &trainer.experiment.model.pretrained_path {
            trainer.load_file(path)?;
        }
        Ok(trainer)
    }

    /// Replaces the weights by those of a `.pt` or `.safetensors` file, before the first step. Their average begins at them too.
    ///
    /// # Errors
    /// As [`Model::load_file`].
    pub fn load_file(&self, path: &Path) -> Result<()> {
        self.model.load_file(path)?;
        self.begin_average()
    }

    /// Replaces the weights by these, before the first step. Their average begins at them too.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        self.model.load(values)?;
        self.begin_average()
    }

    fn begin_average(&self) -> Result<()> {
        match &self.averaged {
            Some(averaged) => averaged.model().load(&self.model.values()?),
            None => Ok(()),
        }
    }

    /// A trainer where a checkpoint left it.
    ///
    /// # Errors
    /// If the model can't be built on the device, and as [`Trainer::restore`].
    pub fn resumed(
        experiment: Arc<Experiment>,
        device: impl Into<Target>,
        from: &Checkpoint,
    ) -> Result<Self> {
        let mut trainer = Self::untrained(experiment, device)?;
        trainer.restore(from)?;
        Ok(trainer)
    }

    fn untrained(experiment: Arc<Experiment>, device: impl Into<Target>) -> Result<Self> {
        let device = device.into();
        let model = Model::of(&experiment, &device)?;
        let training = &experiment.training;
        let rule = training.optimizer.clone().unwrap_or_else(default_optimizer);
        let updater = Updater::new(rule, model.candle().graph(), model.parameters(), training.weight_decay)?;
        let averaged = Averaged::of(&experiment, &model, &device)?;
        let (skipped, data) = (Skipped::default(), Data::Unseen(None));
        Ok(Self {
            experiment,
            model,
            averaged,
            updater,
            learning_rate: None,
            step: 0,
            skipped,
            data,
            drawn: None,
            ranks: None,
        })
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

    /// The model with the average of the weights; nothing unless `training.ema` asks for one.
    #[must_use]
    pub fn averaged(&self) -> Option<&Model> {
        self.averaged.as_ref().map(Averaged::model)
    }

    /// Steps that changed nothing, because their loss or gradient wasn't finite.
    #[must_use]
    pub fn steps_skipped(&self) -> usize {
        self.skipped.all
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

    /// The learning rate of the next step: the experiment's by its schedule, unless set.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate.unwrap_or_else(|| self.experiment.training.learning_rate_at(self.step))
    }

    /// Sets the learning rate from the next step on, for a schedule that the caller computes. The experiment's counts no more.
    ///
    /// A checkpoint doesn't hold it: after a restore, set it again, from [`Trainer::steps_done`].
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = Some(learning_rate);
    }

    /// What the next step is made at: the curriculum's stage, with the loops that the depth draws for it.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.experiment.stage(self.step)
    }

    /// Runs one step on a fresh batch, at its [`stage`](Self::stage).
    ///
    /// # Errors
    /// If prompts can't be had, memory runs out, or the loss or gradient isn't finite; then no parameter has changed.
    pub fn step(&mut self) -> Result<StepReport> {
        self.step_at(self.stage())
    }

    /// [`Trainer::step`] at a stage that the caller chooses, for another curriculum than the experiment's.
    ///
    /// # Errors
    /// If the model hasn't room for the stage, and as [`Trainer::step`].
    pub fn step_at(&mut self, stage: Stage) -> Result<StepReport> {
        if let Some(report) = self.step_on_gpu(stage)? {
            return Ok(report);
        }
        let found = self.gradients(stage)?;
        self.apply(found)
    }

    /// The first half of a step: the loss and its gradient on the present step's batch, at a stage. Nothing is updated.
    ///
    /// The gradient may be changed before [`Trainer::apply`]: averaged over several processes, for example.
    ///
    /// # Errors
    /// If the model hasn't room for the stage, prompts can't be had, or memory runs out.
    pub fn gradients(&mut self, stage: Stage) -> Result<StepGradients> {
        self.leave_gpu()?;
        self.refuse_unless_it_fits(stage)?;
        self.refuse_alone()?;
        self.refuse_exchanged_data()?;
        let prompts = self.prompts(stage)?;
        let objective = self.experiment.task.objective();
        let mut sum: Option<Found> = None;
        for (loops, prompts, share) in self.own_part(self.by_depth(stage, prompts)) {
            let mut found = self.model.step(&prompts, objective, &loops)?;
            if share != 1.0 {
                found.scale(share);
            }
            sum = Some(match sum {
                None => found,
                Some(before) => before.with(&found),
            });
        }
        let nothing = || TrainError::Refused("there are no prompts".to_owned());
        let Found { loss, gradients, notes } = self.of_all(sum)?.ok_or_else(nothing)?;
        Ok(StepGradients { stage, loss, gradients, notes })
    }

    /// The second half of a step: clips the gradient as the experiment says, and updates the parameters by it.
    ///
    /// Where the loss or the gradient isn't finite, a step changes nothing, if `training.skip_non_finite` allows so many in a row.
    ///
    /// # Errors
    /// If the loss or the gradient isn't finite once too often, or a parameter's gradient is missing; then no parameter has changed.
    pub fn apply(&mut self, found: StepGradients) -> Result<StepReport> {
        self.leave_gpu()?;
        let StepGradients { stage, loss, mut gradients, notes } = found;
        let (grad_norm, learning_rate) = (global_norm(&gradients), self.learning_rate());
        let step = self.step;
        let report = StepReport { step, stage, loss, grad_norm, learning_rate, skipped: false, notes };
        if let Some(skipped) = self.skip_unless_finite(&report)? {
            return Ok(skipped);
        }
        if let Some(largest) = self.experiment.training.gradient_clip {
            clip(&mut gradients, grad_norm, largest);
        }
        let Self { model, updater, .. } = self;
        model.on_threads(|| updater.update(model.parameters(), &gradients, learning_rate))?;
        if let Some(averaged) = &self.averaged {
            averaged.follow(&self.model);
        }
        self.skipped.in_a_row = 0;
        self.step += 1;
        Ok(report)
    }

    /// A step whose loss or gradient isn't finite, skipped; nothing if both are.
    ///
    /// # Errors
    /// If it is one too many in a row.
    fn skip_unless_finite(&mut self, report: &StepReport) -> Result<Option<StepReport>> {
        let numbers = [("the loss", report.loss), ("the gradient's norm", report.grad_norm)];
        let Some((what, value)) = numbers.into_iter().find(|(_, value)| !value.is_finite()) else {
            return Ok(None);
        };
        let before = self.skipped.in_a_row;
        if before >= self.experiment.training.skip_non_finite {
            let first = self.model.first_not_finite(&self.prompts(report.stage)?, report.stage.loops);
            return Err(TrainError::NonFinite { what, value, step: self.step, before, first });
        }
        self.skipped = Skipped { all: self.skipped.all + 1, in_a_row: before + 1 };
        self.step += 1;
        Ok(Some(StepReport { skipped: true, ..report.clone() }))
    }

    /// The loss on the [`Validation`] prompts, which draws from a stream of its own: it changes no later step.
    ///
    /// # Errors
    /// If prompts can't be had, or memory runs out.
    pub fn validation_loss(&self) -> Result<f64> {
        Validation::of(&self.experiment)?.loss(&self.model)
    }

    /// The same of the averaged weights; nothing unless `training.ema` asks for an average.
    ///
    /// # Errors
    /// As [`Trainer::validation_loss`].
    pub fn averaged_validation_loss(&self) -> Result<Option<f64>> {
        let Some(model) = self.averaged() else { return Ok(None) };
        Ok(Some(Validation::of(&self.experiment)?.loss(model)?))
    }

    /// A copy of all that a later [`Trainer::restore`] needs: steps after it don't change it.
    ///
    /// # Errors
    /// If the device has no room for it.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let (optimizer, updates) = match self.model.held_moments()? {
            Some(([first, second], updates)) => (named([("first", &first), ("second", &second)])?, updates),
            None => self.updater.state()?,
        };
        let (Data::Unseen(data) | Data::Seen(data)) = &self.data;
        let state = State::after(self.step, updates, self.experiment.seed);
        let state = State { data: data.clone(), skipped: self.skipped, ..state };
        let averaged = self.averaged.as_ref().map(Averaged::values).transpose()?;
        Ok(Checkpoint { model: self.model.values()?, averaged, optimizer, state })
    }

    /// Continues from a checkpoint of the same experiment.
    ///
    /// # Errors
    /// If it belongs to another model, seed or length of training; then nothing was changed.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let State { step, optimizer_updates, generator, skipped, data, .. } = &checkpoint.state;
        let refuse = |message: String| Err(TrainError::Refused(message));
        if generator.seed != self.experiment.seed {
            let seed = self.experiment.seed;
            return refuse(format!("the checkpoint's seed is {}, the experiment's {seed}", generator.seed));
        }
        let steps = self.experiment.training.train_steps;
        if *step > steps {
            return refuse(format!(
                "training.train_steps: is {steps}, and {step} steps are done; allowed: {step} or more"
            ));
        }
        self.model.check(&checkpoint.model)?;
        let averages = match (&self.averaged, &checkpoint.averaged) {
            (Some(own), Some(values)) => {
                own.model().check(values)?;
                Some((own, values))
            }
            (None, None) => None,
            (Some(_), None) => {
                return refuse("training.ema: is set, and the checkpoint has no averages".to_owned());
            }
            (None, Some(_)) => {
                return refuse("training.ema: is not set, and the checkpoint has averages".to_owned());
            }
        };
        let updater = self.updater.restored(&checkpoint.optimizer, *optimizer_updates)?;
        self.model.load(&checkpoint.model)?;
        // What a GPU holds is of the steps before.
        self.model.release()?;
        if let Some((own, values)) = averages {
            own.model().load(values)?;
        }
        self.updater = updater;
        self.drawn = None;
        self.step = *step;
        self.skipped = *skipped;
        self.data = Data::Unseen(data.clone());
        Ok(())
    }

    /// Refuses other data than those that the steps before a [`Trainer::restore`] were made on; each step does so by itself.
    ///
    /// # Errors
    /// If the task's data are others now, or can't be read.
    pub fn refuse_exchanged_data(&mut self) -> Result<()> {
        let Data::Unseen(before) = &self.data else { return Ok(()) };
        let now = self.experiment.task.fingerprint()?;
        if let (Some(before), Some(now)) = (before, &now)
            && before != now
        {
            return Err(TrainError::Refused(format!(
                "the task's data are others than at the checkpoint of step {}: their SHA-256 was {before}, and is {now}; \
                 put the old file back, or begin a new run",
                self.step
            )));
        }
        self.data = Data::Seen(now);
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
                let allowed =
                    if most == usize::MAX { "at least 1".to_owned() } else { format!("1 to {most}") };
                let message = format!("step {}: {what} is {value}; allowed: {allowed}", self.step);
                return Err(TrainError::Refused(message));
            }
        }
        Ok(())
    }

    /// The prompts of the present step.
    fn prompts(&self, stage: Stage) -> Result<Prompts> {
        self.prompts_of(self.step, stage)
    }

    /// The prompts of a step at a stage.
    fn prompts_of(&self, step: usize, stage: Stage) -> Result<Prompts> {
        let (count, index) = (self.experiment.training.batch_size, step as u64);
        let request = Request {
            prompts: count,
            points: stage.points,
            dims: stage.dims,
            n_dims: self.experiment.model.n_dims,
            first: index * count as u64,
            split: Split::Train,
        };
        let mut rng = Rng::stream(self.experiment.seed, "training prompts", index);
        let noise = Noise::new(self.experiment.seed, "training first state", request.first);
        let prompts = self.experiment.task.sample(request, &mut rng)?.with_noise(noise);
        Ok(match self.experiment.training.n_loss_queries {
            Some(queries) => prompts.ask_last(queries),
            None => prompts,
        })
    }
}
