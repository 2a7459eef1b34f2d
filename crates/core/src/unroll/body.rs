//! The loops of a training step as an engine offers them, what is done with them, and what comes of it.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::Flat;
use crate::loop_loss::{Joint, Share};

/// The loops over some prompts in a training step, run one at a time. An engine offers them, an [`Unroll`](crate::Unroll) goes through them.
///
/// There is a state z, and a gradient d with respect to it; f is one loop. Loops that will be run backward are kept in slots, numbered from 0.
/// Gradients with respect to the parameters add up as loops are run backward.
///
/// Every [`start`](Self::start) is ended by a [`finish`](Self::finish).
pub trait Body {
    /// Which of the step's prompts these are.
    fn prompts(&self) -> Range<usize>;

    /// How many the step has in all.
    fn prompts_of_step(&self) -> usize;

    /// Begins with the first state, d = 0, and no slot in use. With `to_first_state` the gradient will go on into what the first state is
    /// made of.
    fn start(&mut self, to_first_state: bool);

    /// z <- f(z); nothing is kept.
    fn advance(&mut self);

    /// z <- f(z), kept in the next slot, whose number comes back.
    fn record(&mut self) -> usize;

    /// The same, for a last loop: after it there is a prediction and no state. It is read at once, and run backward first.
    fn record_last(&mut self) -> usize;

    /// The loss after a slot's loop, times its share. Its gradient joins d when the slot is run backward.
    fn read(&mut self, slot: usize, share: Share) -> f64;

    /// The loss of several slots' predictions together.
    fn read_together(&mut self, slots: &[usize], joint: &dyn Joint) -> f64;

    /// d <- J^T (d + the gradient of the loss after the slot's loop), J being the loop's derivative with respect to the state.
    fn backward(&mut self, slot: usize);

    /// d <- d + the gradient of the loss after the slot's loop, which [`backward`](Self::backward) then leaves out.
    fn join_loss(&mut self, slot: usize);

    /// d <- J^T d; parameters get no gradient, and the slot can be run backward again.
    fn backward_state(&mut self, slot: usize);

    /// Goes back to before a slot's loop: its state is z again, and it and later slots are free.
    fn rewind(&mut self, slot: usize);

    /// Changes z: (prompts, tokens, width), of the tokens that are looped over.
    fn with_state(&mut self, change: &mut dyn FnMut(&mut [f32]));

    /// Changes d, of z's shape.
    fn with_gradient(&mut self, change: &mut dyn FnMut(&mut [f32]));

    /// Ends what [`start`](Self::start) began: gradients go on into the embedded prompt, and, if that was said, into the first state.
    fn finish(&mut self);

    /// Notes a number for each prompt, to be reported as its mean over the step's prompts.
    fn note(&mut self, what: &'static str, of_prompts: &[f64]);

    /// z, copied.
    fn state(&mut self) -> Vec<f32> {
        let mut copy = Vec::new();
        self.with_state(&mut |state| copy.extend_from_slice(state));
        copy
    }

    /// d, copied.
    fn gradient(&mut self) -> Vec<f32> {
        let mut copy = Vec::new();
        self.with_gradient(&mut |gradient| copy.extend_from_slice(gradient));
        copy
    }

    /// z <- these numbers.
    fn set_state(&mut self, to: &[f32]) {
        self.with_state(&mut |state| state.copy_from_slice(to));
    }

    /// d <- these numbers.
    fn set_gradient(&mut self, to: &[f32]) {
        self.with_gradient(&mut |gradient| gradient.copy_from_slice(to));
    }
}

/// What is done with the loops over each part of a step's prompts.
pub trait Policy: Sync {
    /// The most loops it runs one after another. What is stretched over all loops of a model is stretched over these.
    fn loops(&self) -> usize;

    /// The most slots that are in use at once, and whether the state after the last of them is asked for.
    fn slots(&self) -> (usize, bool);

    /// Forward through the loops and backward: the loss. It is called for a few prompts at a time, on several threads, and does the same each
    /// time.
    fn run(&self, body: &mut dyn Body) -> f64;
}

/// What a training step found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The mean loss.
    pub loss: f64,
    /// Its gradient.
    pub gradients: Flat,
    /// What was noted on the way ([`Body::note`]), the mean over the prompts.
    pub notes: BTreeMap<&'static str, f64>,
}

impl Found {
    /// As a part of a step that counts so much of it.
    pub fn scale(&mut self, share: f64) {
        self.loss *= share;
        self.notes.values_mut().for_each(|note| *note *= share);
        self.gradients.iter_mut().for_each(|gradient| *gradient *= share as f32);
    }

    /// The sum of two parts of a step.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.loss += other.loss;
        self.gradients.iter_mut().zip(other.gradients.iter()).for_each(|(sum, own)| *sum += own);
        other.notes.iter().for_each(|(what, value)| *self.notes.entry(what).or_default() += value);
        self
    }
}
