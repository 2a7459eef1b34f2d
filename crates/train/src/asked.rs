//! A model asked about many prompts: some at a time, so that memory stays bounded. No number depends on how many.

use looped_core::{Predictions, Predictor as _, Prompts, Stateful as _};

use crate::{Model, Result};

/// Prompts that are given to the model at once.
const AT_ONCE: usize = 64;

/// The states of a model: (loops, prompts, tokens, width), row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct States {
    /// The values.
    pub values: Vec<f32>,
    /// How many loops.
    pub loops: usize,
    /// How many prompts.
    pub prompts: usize,
    /// Tokens of each prompt.
    pub tokens: usize,
    /// Width of the state.
    pub width: usize,
}

impl Model {
    /// [`predict`](looped_core::Predictor::predict) of any number of prompts.
    ///
    /// # Errors
    /// If the prompts don't fit the model.
    pub fn predict_all(&self, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        let (count, points) = (prompts.prompts, prompts.points);
        let mut all = Predictions { values: Vec::new(), width: 1, loops, prompts: count, points };
        for first in (0..count).step_by(AT_ONCE) {
            let part = self.predict(&some(prompts, first), loops)?;
            all.width = part.width;
            let each = points * part.width;
            all.values.resize(loops * count * each, 0.0);
            for index in 0..loops {
                put(part.after(index), &mut all.values, (index * count + first) * each);
            }
        }
        Ok(all)
    }

    /// The state after each of so many loops over `prompts`.
    ///
    /// # Errors
    /// If the prompts don't fit the model.
    pub fn states(&self, prompts: &Prompts, loops: usize) -> Result<States> {
        let (count, tokens, width) = (prompts.prompts, prompts.layout.tokens(prompts.points), self.width());
        let each = tokens * width;
        let mut values = vec![0.0; loops * count * each];
        for first in (0..count).step_by(AT_ONCE) {
            let mut looping = self.looping(&some(prompts, first), loops)?;
            for index in 0..loops {
                let state = looping.next_state()?.flatten_all()?.to_vec1::<f32>()?;
                put(&state, &mut values, (index * count + first) * each);
            }
        }
        Ok(States { values, loops, prompts: count, tokens, width })
    }
}

fn some(prompts: &Prompts, first: usize) -> Prompts {
    prompts.slice(first..prompts.prompts.min(first + AT_ONCE))
}

fn put(part: &[f32], all: &mut [f32], at: usize) {
    all[at..at + part.len()].copy_from_slice(part);
}
