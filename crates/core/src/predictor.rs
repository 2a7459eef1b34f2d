//! Anything that predicts the y of prompts after each loop.

use crate::{LoopedModel, Looping, Prompts, Result};

/// Predictions of every y after each loop: (loops, prompts, points), row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// The values.
    pub values: Vec<f32>,
    /// How many loops.
    pub loops: usize,
    /// How many prompts.
    pub prompts: usize,
    /// Points in each prompt.
    pub points: usize,
}

impl Predictions {
    /// The predictions after loop `index` (from 0): (prompts, points).
    #[must_use]
    pub fn after(&self, index: usize) -> &[f32] {
        let size = self.prompts * self.points;
        &self.values[index * size..(index + 1) * size]
    }
}

/// A model that can be scored, whichever engine runs it.
pub trait Predictor {
    /// Predicts every y of `prompts` after each of `loops` loops, without gradient.
    ///
    /// # Errors
    /// If the prompts don't fit the model.
    fn predict(&self, prompts: &Prompts, loops: usize) -> Result<Predictions>;
}

/// A model whose state can be looked at after each loop, whichever engine runs it.
pub trait Stateful: Sync {
    /// Width of the state.
    fn width(&self) -> usize;

    /// The loops over `prompts`, without gradient, to be run one at a time.
    ///
    /// # Errors
    /// If the prompts don't fit the model.
    fn looping(&self, prompts: &Prompts) -> Result<Looping<'_>>;
}

/// The candle engine on the device of a store.
pub struct CandlePredictor<'a> {
    /// The model.
    pub model: &'a LoopedModel,
    /// Where its parameters live.
    pub device: candle_core::Device,
}

impl Predictor for CandlePredictor<'_> {
    fn predict(&self, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        let (xs, ys) = prompts.to_tensors(&self.device)?;
        let values = self.model.predict(&xs, &ys, loops)?.flatten_all()?.to_vec1()?;
        Ok(Predictions { values, loops, prompts: prompts.prompts, points: prompts.points })
    }
}

impl Stateful for CandlePredictor<'_> {
    fn width(&self) -> usize {
        self.model.config().n_embd
    }

    fn looping(&self, prompts: &Prompts) -> Result<Looping<'_>> {
        let (xs, ys) = prompts.to_tensors(&self.device)?;
        self.model.looping(&xs, &ys)
    }
}
