//! A batch's loops, run one at a time as a training step's policy asks, by candle's gradients of each loop.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor};
use looped_core::{
    Body, Error, Flat, Found, Joint, Layout, Objective, Policy, Prompts, Result, Share, sum_of_joint,
};
use looped_graph::lower::Program;
use looped_graph::{Graph, Wire, unchanging_tokens};

use crate::looping::{Looping, Recorded};

/// The loops over all of a step's prompts.
pub(crate) struct TensorBody<'a> {
    looping: Looping<'a>,
    /// What candle differentiates with respect to.
    leaves: Vec<Tensor>,
    prompts: &'a Prompts,
    objective: Objective,
    read: Wire,
    /// The tokens that are looped over: those before are the same in every loop, and nothing sees those after.
    tokens: Range<usize>,
    slots: Vec<Slot>,
    /// The gradient with respect to the state.
    slope: Tensor,
    to_first_state: bool,
    found: Found,
    /// What kept it from going on. The rest of the policy does nothing.
    fault: Option<Error>,
}

/// A loop that was kept.
struct Slot {
    index: usize,
    loop_: Recorded,
    /// The loop's predictions.
    predictions: Tensor,
    /// The loss of them, whose gradient is still to come.
    loss: Option<Tensor>,
}

impl<'a> TensorBody<'a> {
    pub(crate) fn new(
        looping: Looping<'a>,
        (leaves, prompts): (Vec<Tensor>, &'a Prompts),
        objective: Objective,
        (graph, read): (&Graph, Wire),
    ) -> Self {
        let (layout, points) = (prompts.layout, prompts.points);
        let all = layout.tokens(points);
        let in_use = Program::tokens_in_use(graph, all, &layout.reads(points));
        let tokens = unchanging_tokens(graph, all).min(in_use)..in_use;
        let slope = looping.state().clone();
        // A parameter that the loss doesn't reach has the gradient 0.
        let gradients = Flat::zeros(Arc::new(Layout::of(graph)));
        let found = Found { loss: 0.0, gradients, notes: BTreeMap::new() };
        let (slots, to_first_state, fault) = (Vec::new(), false, None);
        Self { looping, leaves, prompts, objective, read, tokens, slots, slope, to_first_state, found, fault }
    }

    pub(crate) fn run(mut self, policy: &dyn Policy) -> Result<Found> {
        self.found.loss = policy.run(&mut self);
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.found.notes.values_mut().for_each(|sum| *sum /= self.prompts.prompts as f64);
        Ok(self.found)
    }

    /// Does something that may fail, unless something did.
    fn attempt<T>(&mut self, other: T, of: impl FnOnce(&mut Self) -> Result<T>) -> T {
        if self.fault.is_some() {
            return other;
        }
        of(self).unwrap_or_else(|fault| {
            self.fault = Some(fault);
            other
        })
    }

    /// Adds the parameters' gradients.
    fn add(&mut self, found: &GradStore) -> Result<()> {
        for ((_, sums), leaf) in self.found.gradients.named_mut().zip(&self.leaves) {
            if let Some(gradient) = found.get(leaf) {
                let gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
                sums.iter_mut().zip(gradient).for_each(|(sum, own)| *sum += own);
            }
        }
        Ok(())
    }

    fn ys(&self) -> Result<Tensor> {
        let Prompts { prompts, points, ref ys, .. } = *self.prompts;
        let state = self.looping.state();
        Ok(Tensor::from_slice(ys, (prompts, points), state.device())?.to_dtype(state.dtype())?)
    }

    /// The loss after a slot's loop, times its share, with its gradient's way.
    fn loss(&self, slot: usize, share: Share) -> Result<Tensor> {
        let loss = self.objective.loss(&self.slots[slot].predictions.unsqueeze(0)?, &self.ys()?)?;
        Ok((loss * (share.of / share.among as f64))?)
    }

    /// Carries the loss after a slot's loop back to the state after it.
    fn over_reading(&mut self, slot: usize) -> Result<()> {
        let Some(loss) = self.slots[slot].loss.take() else { return Ok(()) };
        let found = loss.backward()?;
        self.add(&found)?;
        if let Some(own) = found.get(self.slots[slot].loop_.seen.as_tensor()) {
            self.slope = (&self.slope + own)?;
        }
        Ok(())
    }

    /// Carries the gradient with respect to the state back through a slot's loop.
    fn through(&mut self, slot: usize, parameters: bool) -> Result<()> {
        let Recorded { before, after, .. } = &self.slots[slot].loop_;
        let found = (after * self.slope.detach())?.sum_all()?.backward()?;
        self.slope =
            found.get(before.as_tensor()).map_or_else(|| before.zeros_like(), |own| Ok(own.clone()))?;
        if parameters { self.add(&found) } else { Ok(()) }
    }

    /// The losses of several slots' predictions of each target, together.
    fn together(&mut self, slots: &[usize], joint: &dyn Joint) -> Result<f64> {
        let flat = |slot: &usize| -> Result<Vec<f32>> {
            Ok(self.slots[*slot].predictions.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
        };
        let all = slots.iter().map(flat).collect::<Result<Vec<_>>>()?;
        let (ys, weight) = (self.prompts.ys.iter().copied(), 1.0 / self.prompts.targets() as f64);
        let (loss, slopes) = sum_of_joint(joint, self.objective, &all, ys, weight);
        for (slot, slopes) in slots.iter().zip(slopes) {
            let predictions = &self.slots[*slot].predictions;
            let slopes = Tensor::from_vec(slopes, predictions.shape(), predictions.device())?;
            // A sum that has these slopes.
            let loss = (predictions * slopes.to_dtype(predictions.dtype())?)?.sum_all()?;
            self.slots[*slot].loss = Some(loss);
        }
        Ok(loss)
    }

    /// Changes the numbers of the tokens that are looped over.
    fn changed(&self, tensor: &Tensor, change: &mut dyn FnMut(&mut [f32])) -> Result<Tensor> {
        let (first, len) = (self.tokens.start, self.tokens.len());
        let own = tensor.narrow(1, first, len)?;
        let mut numbers: Vec<f32> = own.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        let before = numbers.clone();
        change(&mut numbers);
        if numbers == before {
            // It was only looked at: in 64 bits it stays as exact as it is.
            return Ok(tensor.clone());
        }
        let changed = Tensor::from_vec(numbers, own.shape(), own.device())?.to_dtype(own.dtype())?;
        let end = first + len;
        let after = tensor.narrow(1, end, tensor.dim(1)? - end)?;
        Ok(Tensor::cat(&[&tensor.narrow(1, 0, first)?, &changed, &after], 1)?)
    }

    /// The rows of `inside` at the tokens that are looped over, those of `outside` elsewhere.
    fn merged(&self, inside: &Tensor, outside: &Tensor) -> Result<Tensor> {
        let Range { start, end } = self.tokens;
        let rest = outside.dim(1)? - end;
        let rows = [
            outside.narrow(1, 0, start)?,
            inside.narrow(1, start, end - start)?,
            outside.narrow(1, end, rest)?,
        ];
        Ok(Tensor::cat(&rows, 1)?)
    }
}

impl Body for TensorBody<'_> {
    fn prompts(&self) -> Range<usize> {
        0..self.prompts.prompts
    }

    fn prompts_of_step(&self) -> usize {
        self.prompts.prompts
    }

    fn start(&mut self, to_first_state: bool) {
        self.to_first_state = to_first_state;
        self.slots.clear();
        self.attempt((), |body| {
            let first = body.looping.first_state().detach();
            body.slope = first.zeros_like()?;
            body.looping.put(first, 0);
            Ok(())
        });
    }

    fn advance(&mut self) {
        self.attempt((), |body| {
            body.looping.advance()?;
            body.looping.detach();
            Ok(())
        });
    }

    fn record(&mut self) -> usize {
        self.attempt((), |body| {
            let index = body.looping.loops_done();
            let loop_ = body.looping.record()?;
            let predictions = body.looping.predictions(body.read, body.prompts.layout)?;
            body.slots.push(Slot { index, loop_, predictions, loss: None });
            Ok(())
        });
        self.slots.len().saturating_sub(1)
    }

    fn record_last(&mut self) -> usize {
        self.record()
    }

    fn read(&mut self, slot: usize, share: Share) -> f64 {
        self.attempt(0.0, |body| {
            let loss = body.loss(slot, share)?;
            let value = loss.to_dtype(DType::F64)?.to_scalar()?;
            body.slots[slot].loss = Some(loss);
            Ok(value)
        })
    }

    fn read_together(&mut self, slots: &[usize], joint: &dyn Joint) -> f64 {
        self.attempt(0.0, |body| body.together(slots, joint))
    }

    fn backward(&mut self, slot: usize) {
        self.attempt((), |body| {
            body.over_reading(slot)?;
            body.through(slot, true)
        });
    }

    fn join_loss(&mut self, slot: usize) {
        self.attempt((), |body| body.over_reading(slot));
    }

    fn backward_state(&mut self, slot: usize) {
        self.attempt((), |body| {
            // The other tokens keep what is still to go back through their one loop.
            let before = body.slope.clone();
            body.through(slot, false)?;
            body.slope = body.merged(&body.slope, &before)?;
            Ok(())
        });
    }

    fn rewind(&mut self, slot: usize) {
        self.attempt((), |body| {
            let Slot { index, ref loop_, .. } = body.slots[slot];
            let before = loop_.before.as_detached_tensor();
            body.looping.put(before, index);
            body.slots.truncate(slot);
            Ok(())
        });
    }

    fn with_state(&mut self, change: &mut dyn FnMut(&mut [f32])) {
        self.attempt((), |body| {
            let changed = body.changed(body.looping.state(), change)?;
            let done = body.looping.loops_done();
            body.looping.put(changed.detach(), done);
            Ok(())
        });
    }

    fn with_gradient(&mut self, change: &mut dyn FnMut(&mut [f32])) {
        self.attempt((), |body| {
            body.slope = body.changed(&body.slope, change)?;
            Ok(())
        });
    }

    fn finish(&mut self) {
        self.attempt((), |body| {
            if !body.to_first_state {
                return Ok(());
            }
            let found = (body.looping.first_state() * body.slope.detach())?.sum_all()?.backward()?;
            body.add(&found)
        });
    }

    fn note(&mut self, what: &'static str, of_prompts: &[f64]) {
        *self.found.notes.entry(what).or_default() += of_prompts.iter().sum::<f64>();
    }
}
