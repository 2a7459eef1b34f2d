//! Recurrences: a recorded cell, run token by token, as [`CellPlan`] lists its steps.

mod buffers;
mod code;

pub(crate) use looped_graph::cell::Extent;
use looped_graph::cell::{Back, BackPlan, Buffers, CellPlan, NormStep, Plan, Space, Term, View, Work};
use looped_graph::lower::RecurRoom;
use looped_graph::ops::Cell;
use looped_ops::{Kernels, PointCode, Scratch, Start};

use self::buffers::{Parts, to_batch_major, to_time_major};
use self::code::compile;
use crate::layout::two;
use crate::weights::Weights;

/// A cell, ready to run.
#[derive(Debug)]
pub(crate) struct CellRun {
    steps: CellPlan,
    /// For each program: what is left for the backward pass, too, and what goes on alone.
    recorded: Vec<PointCode>,
    free: Vec<PointCode>,
    /// Backward at each token, and for all tokens after that.
    scan: Vec<Back<PointCode>>,
    hoisted: Vec<Back<PointCode>>,
}

/// What a forward pass reads and writes.
pub(crate) struct Forward<'a> {
    /// (sequences, tokens, width)
    pub(crate) x: &'a [f32],
    /// The states before the first token, one after another, each (sequences, width); empty if there is no prefix.
    pub(crate) before: &'a [f32],
    /// Gets the states after the last token, in the same order; may be empty.
    pub(crate) last: &'a mut [f32],
    /// For the backward pass; empty if there will be none.
    pub(crate) tape: &'a mut [f32],
    pub(crate) scratch: &'a mut [f32],
    /// Which states are read.
    pub(crate) read: &'a [usize],
    /// Get them, each (sequences, tokens, width).
    pub(crate) outs: &'a mut [&'a mut [f32]],
}

/// What a backward pass reads and writes.
pub(crate) struct Backward<'a> {
    pub(crate) x: &'a [f32],
    /// The gradient with respect to the states after the last token; may be empty.
    pub(crate) dlast: &'a [f32],
    /// As the forward pass left it; it is used up.
    pub(crate) tape: &'a mut [f32],
    pub(crate) scratch: &'a mut [f32],
    /// Which states are read.
    pub(crate) read: &'a [usize],
    /// The gradients with respect to them.
    pub(crate) douts: &'a [&'a [f32]],
    /// With respect to the states before the first token: added to; empty if there is no prefix.
    pub(crate) dbefore: &'a mut [f32],
    /// With respect to x.
    pub(crate) dx: &'a mut [f32],
    /// Whether dx is added to.
    pub(crate) add: bool,
}

impl CellRun {
    /// # Errors
    /// If there is something in the cell for which there is no kernel.
    pub(crate) fn new(cell: &Cell, input_width: usize) -> Result<Self, String> {
        let steps = CellPlan::new(cell, input_width)?;
        let compiled = |code: &_| compile(&steps.plan.buffers, code);
        let all = |codes: &[_]| codes.iter().map(compiled).collect();
        let back = |list: &[Back<_>]| list.iter().map(|step| step.map(compiled)).collect();
        let (recorded, free) = (all(&steps.recorded), all(&steps.free));
        let (scan, hoisted) = (back(&steps.back.scan), back(&steps.back.hoisted));
        Ok(Self { steps, recorded, free, scan, hoisted })
    }

    /// What a pass takes of memory.
    pub(crate) fn room(&self, of: Extent) -> RecurRoom {
        self.steps.room(of)
    }

    /// Floats of all states after a token.
    #[cfg(test)]
    pub(crate) fn memory_len(&self, sequences: usize) -> usize {
        let of = Extent { sequences, tokens: 0, prefix: false };
        self.steps.states(of).last().map_or(0, |(_, range)| range.end)
    }

    fn buffers(&self) -> &Buffers {
        &self.steps.plan.buffers
    }

    pub(crate) fn forward(
        &self,
        weights: &Weights<'_>,
        of: Extent,
        pass: Forward<'_>,
        kernel_scratch: &mut Scratch,
    ) {
        let Forward { x, before, last, tape, scratch, read, outs } = pass;
        let free = tape.is_empty();
        let (instead, scratch) = scratch.split_at_mut(if free { self.room(of).tape } else { 0 });
        let tape = if free { instead } else { tape };
        let plan = &self.steps.plan;
        let mut buffers = Parts::cut(self.buffers(), of, tape, scratch, Space::Forward);
        to_time_major(of, x, buffers.whole(plan.x));
        for product in &plan.products {
            if let Some(bias) = product.bias {
                let sum = buffers.whole(bias);
                sum.fill(0.0);
                for bias_of in product.terms.iter().filter_map(|term| term.layer.bias) {
                    weights.exact.add(weights.param(bias_of), sum);
                }
            }
        }
        for (state, range) in self.steps.states(of) {
            let first = &mut buffers.whole(plan.states[state])[..range.len()];
            if of.prefix {
                first.copy_from_slice(&before[range]);
            } else {
                first.fill(0.0);
            }
        }

        let codes = if free { &self.free } else { &self.recorded };
        let mut run = Run { plan, weights, of, buffers, kernel_scratch };
        run.works(&plan.hoisted, codes, None);
        for token in 0..of.tokens {
            run.works(&plan.scan, codes, Some(token));
        }

        let mut buffers = run.buffers;
        for (state, range) in self.steps.states(of) {
            let states = &*buffers.whole(plan.states[state]);
            if let Some(out) = read.iter().position(|&read| read == state) {
                to_batch_major(of, false, &states[range.len()..], outs[out]);
            }
            if !last.is_empty() {
                last[range.clone()].copy_from_slice(&states[of.tokens * range.len()..]);
            }
        }
    }

    /// Gradients with respect to parameters are added to `grads`, in the layout's places.
    pub(crate) fn backward(
        &self,
        weights: &Weights<'_>,
        grads: &mut [f32],
        of: Extent,
        pass: Backward<'_>,
        kernel_scratch: &mut Scratch,
    ) {
        let Backward { x, dlast, tape, scratch, read, douts, dbefore, dx, add } = pass;
        let (plan, back) = (&self.steps.plan, &self.steps.back);
        let mut buffers = Parts::cut(self.buffers(), of, tape, scratch, Space::Backward);
        to_time_major(of, x, buffers.whole(plan.x));
        back.clear.iter().for_each(|&buffer| buffers.whole(buffer).fill(0.0));
        for (state, range) in self.steps.states(of) {
            let after = buffers.whole(back.after[state]);
            if dlast.is_empty() {
                after.fill(0.0);
            } else {
                after.copy_from_slice(&dlast[range]);
            }
        }

        let mut run = Run { plan, weights, of, buffers, kernel_scratch };
        for token in (0..of.tokens).rev() {
            if token > 0 {
                run.fetch(&back.ahead, token - 1);
            }
            for (&state, dout) in read.iter().zip(douts) {
                run.add_rows(token, dout, back.after[state]);
            }
            back.clear_each.iter().for_each(|&buffer| run.buffers.whole(buffer).fill(0.0));
            for step in &self.scan {
                run.back(back, step, grads, Some(token));
            }
            if token > 0 {
                for (state, &after) in plan.states.iter().zip(&back.after) {
                    let before = back.gradients[*state].unwrap_or(after);
                    run.buffers.swap(before, after);
                }
            }
        }
        if of.prefix {
            for (state, range) in self.steps.states(of) {
                if let Some(before) = back.gradients[plan.states[state]] {
                    weights.exact.add(run.buffers.whole(before), &mut dbefore[range]);
                }
            }
        }
        for step in &self.hoisted {
            run.back(back, step, grads, None);
        }
        run.weight_gradients(back, grads);
        if let Some(of_x) = back.gradients[plan.x] {
            to_batch_major(of, add, run.buffers.whole(of_x), dx);
        }
    }
}

/// A pass over a chunk.
struct Run<'a, 'b> {
    plan: &'a Plan,
    weights: &'a Weights<'a>,
    of: Extent,
    buffers: Parts<'b>,
    kernel_scratch: &'a mut Scratch,
}

impl Run<'_, '_> {
    fn products(&self, term: &Term) -> Kernels {
        if term.layer.exact { self.weights.exact } else { self.weights.kernels }
    }

    fn works(&mut self, works: &[Work], codes: &[PointCode], token: Option<usize>) {
        for work in works {
            match *work {
                Work::Product(product, term) => self.product(product, term, token),
                Work::Norm(norm) => self.norm(&self.plan.norms[norm], token),
                Work::Points(points) => self.points(&codes[points], token),
            }
        }
    }

    fn points(&mut self, code: &PointCode, token: Option<usize>) {
        let rows = if token.is_some() { self.of.sequences } else { self.of.sequences * self.of.tokens };
        self.weights.exact.point(code, rows, token.unwrap_or(0), self.buffers.operands());
    }

    fn product(&mut self, product: usize, term: usize, token: Option<usize>) {
        let (weights, of) = (self.weights, &self.plan.products[product]);
        let one = &of.terms[term];
        let (k, matrix) = (self.products(one), weights.matrix(one.layer.weight, false));
        let single = of.terms.iter().find_map(|term| term.layer.bias);
        match (term, of.bias, single) {
            (0, Some(bias), _) => {
                let [input, bias, out] =
                    self.buffers.at([one.input, View::now(bias), View::now(of.out)], token);
                k.matmul(input, matrix, Start::Bias(bias), out, self.kernel_scratch);
            }
            (0, None, bias) => {
                let start = bias.map_or(Start::Zero, |bias| Start::Bias(weights.param(bias)));
                let [input, out] = self.buffers.at([one.input, View::now(of.out)], token);
                k.matmul(input, matrix, start, out, self.kernel_scratch);
            }
            _ => {
                let [input, out] = self.buffers.at([one.input, View::now(of.out)], token);
                k.matmul(input, matrix, Start::Output, out, self.kernel_scratch);
            }
        }
    }

    fn norm(&mut self, step: &NormStep, token: Option<usize>) {
        let weights = self.weights;
        let views = [step.input, View::now(step.out), View::now(step.mean), View::now(step.inverse)];
        let [x, out, mean, inverse] = self.buffers.at(views, token);
        let weight = weights.param(step.norm.weight);
        match step.norm.bias {
            Some(bias) => weights.exact.layer_norm(x, weight, weights.param(bias), out, mean, inverse),
            None => weights.exact.rms_norm(x, weight, out, mean, inverse),
        }
    }

    fn back(&mut self, back: &BackPlan, step: &Back<PointCode>, grads: &mut [f32], token: Option<usize>) {
        let weights = self.weights;
        match step {
            Back::Points(code) => self.points(code, token),
            Back::Product { product, term, target, add } => {
                let of = &self.plan.products[*product];
                let one = &of.terms[*term];
                let of_state = self.plan.states.contains(&one.input.buffer);
                if of_state && token == Some(0) && !self.of.prefix {
                    return;
                }
                let (k, matrix) = (self.products(one), weights.matrix(one.layer.weight, true));
                let start = if *add { Start::Output } else { Start::Zero };
                let dout = back.gradients[of.out].unwrap_or(of.out);
                let [dout, dinput] = self.buffers.at([View::now(dout), View::now(*target)], token);
                k.matmul(dout, matrix, start, dinput, self.kernel_scratch);
            }
            Back::Norm { norm, target, add } => {
                let NormStep { norm, input, out, mean, inverse } = self.plan.norms[*norm];
                let dout = back.gradients[out].unwrap_or(out);
                let views = [View::now(dout), input, View::now(mean), View::now(inverse), View::now(*target)];
                let [dout, x, mean, inverse, dx] = self.buffers.at(views, token);
                let (of_weight, of_bias) = (
                    weights.layout.param(norm.weight),
                    norm.bias.map_or(0..0, |bias| weights.layout.param(bias)),
                );
                let [dweight, dbias] = two(grads, of_weight, of_bias);
                let weight = weights.param(norm.weight);
                let k = weights.exact;
                if norm.bias.is_some() {
                    k.layer_norm_backward(dout, x, mean, inverse, weight, dx, *add, dweight, dbias);
                } else {
                    k.rms_norm_backward(dout, x, mean, inverse, weight, dx, *add, dweight);
                }
            }
        }
    }

    /// Asks for what the next token's programs will read: the tape is too large for a cache that is near, and the processor doesn't see by itself that it is
    /// read from its end.
    fn fetch(&mut self, buffers: &[usize], token: usize) {
        for &buffer in buffers {
            let [rows] = self.buffers.at([View::now(buffer)], Some(token));
            self.weights.exact.fetch(rows);
        }
    }

    /// Adds a token's rows of all prompts.
    fn add_rows(&mut self, token: usize, from: &[f32], to: usize) {
        let to = self.buffers.whole(to);
        let width = to.len() / self.of.sequences.max(1);
        let from = &from[token * width..];
        self.weights.exact.add_rows(from, self.of.tokens * width, to, width);
    }

    fn weight_gradients(&mut self, back: &BackPlan, grads: &mut [f32]) {
        let (weights, rows) = (self.weights, self.of.sequences * self.of.tokens);
        for product in &self.plan.products {
            let dout = back.gradients[product.out].unwrap_or(product.out);
            for term in &product.terms {
                let k = self.products(term);
                let [dout, input] = self.buffers.at([View::now(dout), term.input], None);
                let dweight = &mut grads[weights.layout.param(term.layer.weight)];
                k.add_weight_gradient(dout, input, rows, dweight, self.kernel_scratch);
            }
            let k = weights.exact;
            let mut biases = product.terms.iter().filter_map(|term| term.layer.bias);
            if let Some(sum) = product.bias {
                let [dout, sum] = self.buffers.at([View::now(dout), View::now(sum)], None);
                sum.fill(0.0);
                k.add_column_sums(dout, sum);
                biases.for_each(|bias| k.add(sum, &mut grads[weights.layout.param(bias)]));
            } else if let Some(bias) = biases.next() {
                let [dout] = self.buffers.at([View::now(dout)], None);
                k.add_column_sums(dout, &mut grads[weights.layout.param(bias)]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
