//! A looped model with its parameters and the engine that runs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use looped_core::{
    CandlePredictor, LoopPlan, LoopedModel, ModelConfig, Objective, ParamStore, Predictions, Predictor,
    Prompts,
};

use crate::{Gradients, Result};

/// A looped model, ready to be trained or asked.
pub struct Model {
    store: ParamStore,
    looped: LoopedModel,
}

/// What a training step needs to know besides its prompts.
#[derive(Clone, Copy, Debug)]
pub struct StepPlan {
    /// Loops, and how many of the last carry gradient.
    pub loops: LoopPlan,
    /// How many of the last loops enter the loss; more than the window means the window.
    pub loss_loops: usize,
    /// What is minimised.
    pub objective: Objective,
}

impl Model {
    /// Draws the parameters from `seed`.
    ///
    /// # Errors
    /// If the config can't be built on the device.
    pub fn new(config: Arc<ModelConfig>, seed: u64, device: &Device) -> Result<Self> {
        let mut store = ParamStore::new(seed, device);
        let looped = LoopedModel::build(config, &mut store)?;
        Ok(Self { store, looped })
    }

    /// The parameters.
    #[must_use]
    pub fn parameters(&self) -> &ParamStore {
        &self.store
    }

    /// The model as candle operations: states, custom losses.
    #[must_use]
    pub fn looped(&self) -> &LoopedModel {
        &self.looped
    }

    /// Replaces all parameters; names and shapes must be the model's own.
    ///
    /// # Errors
    /// If they aren't; then nothing was replaced.
    pub fn load(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        Ok(self.store.load(values)?)
    }

    /// The parameters' values, by name.
    #[must_use]
    pub fn values(&self) -> BTreeMap<String, Tensor> {
        self.store.iter().map(|(name, var)| (name.to_owned(), var.as_detached_tensor())).collect()
    }

    /// The loss on `prompts` and its gradient for every parameter.
    ///
    /// # Errors
    /// If the prompts don't fit the model, or memory runs out.
    pub fn loss_and_gradients(&self, prompts: &Prompts, plan: StepPlan) -> Result<(f64, Gradients)> {
        let (xs, ys) = prompts.to_tensors(self.store.device())?;
        let predictions = self.looped.forward(&xs, &ys, plan.loops)?;
        let window = predictions.dim(0)?;
        let counted = plan.loss_loops.min(window);
        let loss = plan.objective.loss(&predictions.narrow(0, window - counted, counted)?, &ys)?;
        let mut found = loss.backward()?;
        let mut gradients = Gradients::new();
        for (name, var) in self.store.iter() {
            // A parameter that the loss doesn't reach (read-in behind a cut state, say) has the gradient 0.
            let gradient = found.remove(var.as_tensor()).map_or_else(|| var.zeros_like(), Ok)?;
            gradients.insert(name.to_owned(), gradient);
        }
        Ok((f64::from(loss.to_scalar::<f32>()?), gradients))
    }
}

impl Predictor for Model {
    fn predict(&self, prompts: &Prompts, loops: usize) -> looped_core::Result<Predictions> {
        CandlePredictor { model: &self.looped, device: self.store.device().clone() }.predict(prompts, loops)
    }
}
