//! A model on an engine.

use std::collections::BTreeMap;

use looped_graph::Wire;

use super::Holder;
use crate::{Error, Flat, Found, Objective, ParamStore, Pass, Predictions, Prompts, Result, StepLoops};

/// A recorded model on an engine; its parameters stay in a [`ParamStore`].
///
/// Equal calls give equal bits on one machine, for one number of threads.
pub trait Runner: Send + Sync {
    /// The loss of a training step on `prompts`, its gradient with respect to every parameter of `store`, and what the way through the loops
    /// noted.
    ///
    /// # Errors
    /// If the engine can't go that way, the parameters or the prompts don't fit the model, or memory runs out.
    fn step(
        &self,
        store: &ParamStore,
        prompts: &Prompts,
        objective: Objective,
        loops: &StepLoops,
    ) -> Result<Found>;

    /// All that is read at each point after each of `loops` loops, without gradient.
    ///
    /// # Errors
    /// If the parameters or the prompts don't fit the model, or memory runs out.
    fn predict(&self, store: &ParamStore, prompts: &Prompts, loops: usize) -> Result<Predictions>;

    /// What a value of the graph that has a row for each token is after each loop; `None` if the engine doesn't show it.
    ///
    /// # Shapes
    /// (loops, prompts, tokens, width of the value).
    ///
    /// # Errors
    /// As [`Runner::predict`].
    fn watch(
        &self,
        store: &ParamStore,
        prompts: &Prompts,
        loops: usize,
        wire: Wire,
    ) -> Result<Option<Vec<f32>>> {
        let _ = (store, prompts, loops, wire);
        Ok(None)
    }

    /// Does `work` on the engine's own threads, if it has some: what it shares out by rayon stays on them.
    fn on_threads(&self, work: &mut (dyn FnMut() + Send)) {
        work();
    }

    /// The device and the versions of its driver and libraries, which results may depend on; empty where nothing but the CPU counts.
    fn versions(&self) -> String {
        String::new()
    }

    /// This model as one that can keep parameters and Adam's moments on its device from step to step; `None` if it can't.
    fn holder(&self) -> Option<&dyn Holder> {
        None
    }
}

/// What a step finds that is plain passes over the prompts: `step` does one of them, and their losses count by their shares.
///
/// # Errors
/// If there is no pass, or one fails.
pub fn sum_of_passes(passes: Vec<Pass>, mut step: impl FnMut(Pass) -> Result<(f64, Flat)>) -> Result<Found> {
    let mut sum: Option<Found> = None;
    for pass in passes {
        let (loss, gradients) = step(pass)?;
        let mut found = Found { loss, gradients, notes: BTreeMap::new() };
        if pass.share != 1.0 {
            found.scale(pass.share);
        }
        sum = Some(match sum {
            None => found,
            Some(before) => before.with(&found),
        });
    }
    sum.ok_or_else(|| Error::Data("training.loss: counts no loop".to_owned()))
}
