//! An average of the weights over the steps, as a model of its own.

use std::collections::BTreeMap;

use candle_core::Tensor;
use looped_config::Experiment;

use crate::optimizer::average;
use crate::{Model, Result, Target};

/// An exponential moving average of a model's parameters: average = decay average + (1 - decay) parameters, after each update.
///
/// It begins at the parameters before the first step.
pub(crate) struct Averaged {
    decay: f64,
    model: Model,
}

impl Averaged {
    /// The average that an experiment asks for, at the values of `of`; nothing if it asks for none.
    ///
    /// # Errors
    /// If the device has no room for it.
    pub(crate) fn of(experiment: &Experiment, of: &Model, device: &Target) -> Result<Option<Self>> {
        let Some(decay) = experiment.training.ema else { return Ok(None) };
        let model = Model::of(experiment, device)?;
        model.load(&of.values()?)?;
        Ok(Some(Self { decay, model }))
    }

    /// The model with the averaged parameters.
    pub(crate) const fn model(&self) -> &Model {
        &self.model
    }

    /// Takes the parameters after an update into the average.
    pub(crate) fn follow(&self, model: &Model) {
        average(&mut self.model.parameters().values_mut(), &model.parameters().values(), self.decay);
    }

    /// The averages by name.
    ///
    /// # Errors
    /// If the device has no room for a copy.
    pub(crate) fn values(&self) -> Result<BTreeMap<String, Tensor>> {
        self.model.values()
    }
}
