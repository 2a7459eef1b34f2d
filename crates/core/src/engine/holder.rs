//! Parameters that stay on an engine's device from step to step, with Adam's update there.

use crate::{Flat, Objective, ParamStore, Pass, Prompts, Result};

/// Adam's settings for one update (Kingma and Ba, arXiv 1412.6980, algorithm 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamUpdate {
    /// The learning rate.
    pub learning_rate: f64,
    /// How much of the means of the gradient and of its square stays at an update.
    pub betas: [f64; 2],
    /// Added to the root that is divided by.
    pub eps: f64,
    /// This times a parameter joins its gradient.
    pub weight_decay: f64,
    /// The largest norm of all gradients together; larger ones are scaled to it. 0: none is.
    pub largest_norm: f64,
}

/// What an update on the device did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Updated {
    /// The loss on the prompts, before the update.
    pub loss: f64,
    /// The norm of all gradients together, before clipping.
    pub norm: f64,
}

/// A model that can keep parameters and Adam's moments on its device, where they are updated. While it does, they are the model's, and not
/// those of a store.
pub trait Holder {
    /// Whether it keeps them now.
    fn is_held(&self) -> bool;

    /// Puts the parameters of `store` and Adam's moments after so many updates there.
    ///
    /// # Errors
    /// If they aren't the model's, or the device fails.
    fn hold(&self, store: &ParamStore, moments: [&Flat; 2], updates: usize) -> Result<()>;

    /// One training step on what is kept: loss, gradients, and Adam's update. Where the gradient isn't finite, nothing changes. `meanwhile` is
    /// called while the device works.
    ///
    /// # Errors
    /// If nothing is kept, the prompts don't fit the model, no loop enters the loss, or the device fails.
    fn update(
        &self,
        prompts: &Prompts,
        objective: Objective,
        pass: Pass,
        adam: AdamUpdate,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Updated>;

    /// The parameters that are kept; nothing if none are.
    ///
    /// # Errors
    /// If the device fails.
    fn values(&self) -> Result<Option<Flat>>;

    /// Adam's moments that are kept, and the updates made; nothing if none are.
    ///
    /// # Errors
    /// If the device fails.
    fn moments(&self) -> Result<Option<([Flat; 2], usize)>>;

    /// Replaces the parameters that are kept by those of `store`; the moments stay. Nothing happens where nothing is kept.
    ///
    /// # Errors
    /// If they aren't the model's own, or the device fails.
    fn replace(&self, store: &ParamStore) -> Result<()>;

    /// Forgets what is kept: from now on a store's parameters are the model's again.
    fn release(&self);
}
