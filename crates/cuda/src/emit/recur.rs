//! Recurrences: a cell's steps, token after token. A step is a product or an elementwise program over the token's rows of all prompts.
//!
//! Where products round, what they read is kept twice: as floats and in bf16.

use looped_gpu::calls::{Given, NormBackward};
use looped_gpu::{Form, Math, Operation, Product, Result, Span, Storage};
use looped_graph::NodeId;
use looped_graph::cell::{Back, Code, Extent, NormStep, Rows, Space, View, When, Work};
use looped_graph::lower::RecurOf;

use super::rows::{NORM_BLOCKS, NORM_ROWS};
use super::{Emit, Here, clear};
use crate::cells::{Cell, List, name};
use crate::point;

/// A pass over the tokens.
struct Pass<'a> {
    cell: &'a Cell,
    node: NodeId,
    of: Extent,
    /// The numbers of each buffer.
    whole: Vec<Span>,
    /// The same in bf16, of those that products read so.
    low: Vec<Option<Span>>,
    /// The gradient with respect to the rows of each state, (sequences, tokens, width), where there is one.
    slopes: Vec<Option<Span>>,
}

impl Pass<'_> {
    /// The rows that are meant at a token, or at all of them.
    fn rows(&self, whole: Span, view: View, token: Option<usize>) -> Span {
        let of = self.cell.steps.plan.buffers.0[view.buffer];
        let each = self.of.sequences * of.width;
        match (of.rows, token) {
            (Rows::One | Rows::Token, _) => whole,
            (Rows::All | Rows::States, None) => whole.part(0, each * self.of.tokens),
            (Rows::All | Rows::States, Some(token)) => {
                whole.part((token + usize::from(view.when == When::After)) * each, each)
            }
        }
    }

    fn at(&self, view: View, token: Option<usize>) -> Span {
        self.rows(self.whole[view.buffer], view, token)
    }

    fn low_at(&self, view: View, token: Option<usize>) -> Option<Span> {
        self.low[view.buffer].map(|whole| self.rows(whole, view, token))
    }

    /// The same as a product's operand.
    fn operand(&self, view: View, token: Option<usize>, exact: bool) -> Span {
        let low = if exact { None } else { self.low_at(view, token) };
        low.unwrap_or_else(|| self.at(view, token))
    }

    fn width(&self, buffer: usize) -> usize {
        self.cell.steps.plan.buffers.0[buffer].width
    }
}

impl<'a> Emit<'a> {
    /// A pass, if there is anything to be done.
    fn pass(&mut self, here: Here<'_>, of: &RecurOf, space: Space, memory: [Span; 2]) -> Option<Pass<'a>> {
        let (cell, chunk) = (self.cells.get(of.node)?, here.run.chunk);
        let extent = Extent { sequences: chunk.sequences, tokens: chunk.tokens, prefix: of.prefix };
        let buffers = &cell.steps.plan.buffers;
        let [tape, scratch] = memory;
        let place = |(of_tape, range): (bool, std::ops::Range<usize>)| {
            (if of_tape { tape } else { scratch }).part(range.start, range.len())
        };
        let whole: Vec<Span> = buffers.places(extent, space).into_iter().map(place).collect();
        let rounded = |(buffer, span): (usize, &Span)| {
            let rounded = self.math == Math::Bf16 && cell.is_operand(buffer, here.half) && span.len() > 0;
            rounded.then(|| self.low.keeping(&mut self.layout, *span))
        };
        let low = whole.iter().enumerate().map(rounded).collect();
        let slopes = vec![None; cell.steps.plan.states.len()];
        (chunk.rows() > 0).then_some(Pass { cell, node: of.node, of: extent, whole, low, slopes })
    }

    /// Rounds what was written, if products read it so.
    fn round(&mut self, pass: &Pass<'_>, view: View, token: Option<usize>) -> Result<()> {
        if let Some(low) = pass.low_at(view, token) {
            let operation = self.rounding().narrow(pass.at(view, token), low)?;
            self.push(operation);
        }
        Ok(())
    }

    /// The input, token by token.
    fn by_token(&mut self, pass: &Pass<'_>, x: Span) -> Result<()> {
        let view = View::now(pass.cell.steps.plan.x);
        let operation =
            self.calls().order_rows(x, pass.at(view, None), [pass.of.tokens, pass.of.sequences], false)?;
        self.push(operation);
        self.round(pass, view, None)
    }

    pub(super) fn recur(&mut self, here: Here<'_>, of: &RecurOf) -> Result<()> {
        let places: Vec<Span> =
            here.of().places.iter().map(|place| self.places.at(*place, here.run.slot)).collect();
        let ([x, before, tape, last, scratch], outs) = ([0, 1, 2, 3, 4].map(|i| places[i]), &places[5..]);
        let Some(cell) = self.cells.get(of.node) else { return Ok(()) };
        let chunk = here.run.chunk;
        let extent = Extent { sequences: chunk.sequences, tokens: chunk.tokens, prefix: of.prefix };
        // Scratch space holds the tape where none is kept; room for both was asked for.
        let free = tape.len() == 0;
        let taken = if free { cell.steps.room(extent).tape } else { 0 };
        let memory = if free {
            [scratch.part(0, taken), scratch.part(taken, scratch.len() - taken)]
        } else {
            [tape, scratch]
        };
        let Some(pass) = self.pass(here, of, Space::Forward, memory) else { return Ok(()) };
        let plan = &cell.steps.plan;
        self.by_token(&pass, x)?;
        for product in &plan.products {
            let Some(sum) = product.bias else { continue };
            let sum = pass.at(View::now(sum), None);
            for (i, bias) in product.terms.iter().filter_map(|term| term.layer.bias).enumerate() {
                let (calls, bias) = (self.calls(), self.param(bias));
                self.push(if i == 0 { calls.copy_rows(bias, sum)? } else { calls.add_rows(bias, sum)? });
            }
        }
        for (state, range) in cell.steps.states(pass.of) {
            let view = View::now(plan.states[state]);
            let first = pass.at(view, Some(0));
            let operation = match of.prefix {
                true => self.calls().copy_rows(before.part(range.start, range.len()), first)?,
                false => clear(first),
            };
            self.push(operation);
            self.round(&pass, view, Some(0))?;
        }

        self.works(&pass, &plan.hoisted, free, None)?;
        for token in 0..pass.of.tokens {
            self.works(&pass, &plan.scan, free, Some(token))?;
        }

        for (state, range) in cell.steps.states(pass.of) {
            let states = pass.whole[plan.states[state]];
            if let Some(out) = of.read.iter().position(|read| *read == state) {
                let after = states.part(range.len(), states.len() - range.len());
                let sides = [pass.of.sequences, pass.of.tokens];
                let operation = self.calls().order_rows(after, outs[out], sides, false)?;
                self.push(operation);
            }
            if last.len() > 0 {
                let end = states.slot(pass.of.tokens, range.len());
                let operation = self.calls().copy_rows(end, last.part(range.start, range.len()))?;
                self.push(operation);
            }
        }
        Ok(())
    }

    fn works(&mut self, pass: &Pass<'_>, works: &[Work], free: bool, token: Option<usize>) -> Result<()> {
        let (steps, list) = (&pass.cell.steps, if free { List::Free } else { List::Recorded });
        let codes = if free { &steps.free } else { &steps.recorded };
        works.iter().try_for_each(|work| match *work {
            Work::Product(product, term) => self.cell_product(pass, [product, term], token),
            Work::Norm(norm) => self.cell_norm(pass, &steps.plan.norms[norm], token),
            Work::Points(i) => self.cell_points(pass, &codes[i], &name(pass.node, list, i), token),
        })
    }

    fn cell_product(
        &mut self,
        pass: &Pass<'_>,
        [product, term]: [usize; 2],
        token: Option<usize>,
    ) -> Result<()> {
        let of = &pass.cell.steps.plan.products[product];
        let one = &of.terms[term];
        let single = of.terms.iter().find_map(|term| term.layer.bias).map(|bias| self.param(bias));
        let out = pass.at(View::now(of.out), token);
        let (bias, start) = match (term, of.bias) {
            (0, Some(sum)) => (Some(pass.at(View::now(sum), None)), None),
            (0, None) => (single, None),
            _ => (None, Some(out)),
        };
        let math = if one.layer.exact { Math::F32 } else { self.math };
        let [outputs, inputs] = self.sides(one.layer.weight);
        self.push_product(&Product {
            form: Form::Forward,
            math,
            rows: out.len() / outputs.max(1),
            outputs,
            inputs,
            left: pass.operand(one.input, token, one.layer.exact),
            right: self.weight(one.layer.weight, math.operands()),
            bias,
            start,
            out,
        })?;
        self.round(pass, View::now(of.out), token)
    }

    /// A product forward or with respect to the input: at a token its rows are few.
    fn push_product(&mut self, product: &Product) -> Result<()> {
        let calls = if product.math == Math::Bf16 { self.rounding() } else { self.calls() };
        let operation = match product.has_few_rows() {
            true => calls.few_rows(product)?,
            false => Operation::Product(*product),
        };
        self.push(operation);
        Ok(())
    }

    fn cell_norm(&mut self, pass: &Pass<'_>, step: &NormStep, token: Option<usize>) -> Result<()> {
        let (weight, bias) = (self.param(step.norm.weight), step.norm.bias.map(|bias| self.param(bias)));
        let [x, out] = [step.input, View::now(step.out)].map(|view| pass.at(view, token));
        let calls = self.calls_for(weight.len(), Storage::F32);
        let operation = calls.add_norm(x, None, [Some(weight), bias], None, out)?;
        self.push(operation);
        self.round(pass, View::now(step.out), token)
    }

    fn cell_points(
        &mut self,
        pass: &Pass<'_>,
        code: &Code,
        kernel: &str,
        token: Option<usize>,
    ) -> Result<()> {
        let mut given = Vec::new();
        for (_, window) in code.inputs.iter().enumerate().filter(|(i, _)| code.program.reads(*i)) {
            given.push(Given::Read(pass.at(window.view, token)));
            let state = pass.cell.steps.back.after.iter().position(|after| *after == window.view.buffer);
            if let (Some(state), Some(token)) = (state, token) {
                let width = pass.width(window.view.buffer);
                let slope = pass.slopes[state];
                given
                    .push(Given::ReadMaybe(slope.map(|of| of.part(token * width, of.len() - token * width))));
                given.push(Given::Int(pass.of.tokens * width));
            }
        }
        for (_, window, _) in &code.results {
            given.push(Given::Write(pass.at(window.view, token)));
            given.extend(pass.low_at(window.view, token).map(Given::WriteLow));
        }
        let rows = pass.of.sequences * if token.is_some() { 1 } else { pass.of.tokens };
        given.push(Given::Int(rows));
        let width = code.results.first().map_or(0, |(_, window, _)| window.width);
        if let (Some(own), true) = (&self.own, width > 0) {
            let operation = own.launch(kernel, point::grid_of(width, rows), &given)?;
            self.push(operation);
        }
        Ok(())
    }

    pub(super) fn recur_back(&mut self, here: Here<'_>, of: &RecurOf) -> Result<()> {
        let places: Vec<Span> =
            here.of().places.iter().map(|place| self.places.at(*place, here.run.slot)).collect();
        let ([x, dlast, tape], [dbefore, scratch, dx]) =
            ([0, 1, 2].map(|i| places[i]), [3, 4, 5].map(|i| places[i]));
        let Some(mut pass) = self.pass(here, of, Space::Backward, [tape, scratch]) else { return Ok(()) };
        of.read.iter().zip(&places[6..]).for_each(|(state, dout)| pass.slopes[*state] = Some(*dout));
        let (steps, tokens) = (&pass.cell.steps, pass.of.tokens);
        let (plan, back) = (&steps.plan, &steps.back);
        self.by_token(&pass, x)?;
        back.clear.iter().for_each(|buffer| self.push(clear(pass.whole[*buffer])));
        for (state, range) in steps.states(pass.of) {
            let after = pass.whole[back.after[state]];
            let operation = match dlast.len() {
                0 => clear(after),
                _ => self.calls().copy_rows(dlast.part(range.start, range.len()), after)?,
            };
            self.push(operation);
        }
        for token in (0..tokens).rev() {
            back.clear_each.iter().for_each(|buffer| self.push(clear(pass.whole[*buffer])));
            for (i, step) in back.scan.iter().enumerate() {
                self.cell_back(here, &pass, step, &name(pass.node, List::Scan, i), Some(token))?;
            }
            if token > 0 {
                for (state, &after) in plan.states.iter().zip(&back.after) {
                    pass.whole.swap(back.gradients[*state].unwrap_or(after), after);
                }
            }
        }
        if of.prefix {
            for (state, range) in steps.states(pass.of) {
                if let Some(before) = back.gradients[plan.states[state]] {
                    let to = dbefore.part(range.start, range.len());
                    let operation = self.calls().add_rows(pass.whole[before], to)?;
                    self.push(operation);
                }
            }
        }
        for (i, step) in back.hoisted.iter().enumerate() {
            self.cell_back(here, &pass, step, &name(pass.node, List::Hoisted, i), None)?;
        }
        self.cell_weights(here, &pass)?;
        if let Some(of_x) = back.gradients[plan.x] {
            let sides = [pass.of.sequences, tokens];
            let operation = self.calls().order_rows(pass.whole[of_x], dx, sides, of.add)?;
            self.push(operation);
        }
        Ok(())
    }

    fn cell_back(
        &mut self,
        here: Here<'_>,
        pass: &Pass<'_>,
        step: &Back<Code>,
        kernel: &str,
        token: Option<usize>,
    ) -> Result<()> {
        let (plan, back) = (&pass.cell.steps.plan, &pass.cell.steps.back);
        let gradient = |buffer: usize| View::now(back.gradients[buffer].unwrap_or(buffer));
        match *step {
            Back::Points(ref code) => self.cell_points(pass, code, kernel, token),
            Back::Product { product, term, target, add } => {
                let of = &plan.products[product];
                let one = &of.terms[term];
                // Nobody asks for the gradient with respect to the states that the first token begins with.
                if plan.states.contains(&one.input.buffer) && token == Some(0) && !pass.of.prefix {
                    return Ok(());
                }
                let math = if one.layer.exact { Math::F32 } else { self.math };
                let [outputs, inputs] = self.sides(one.layer.weight);
                let (left, out) = (
                    pass.operand(gradient(of.out), token, one.layer.exact),
                    pass.at(View::now(target), token),
                );
                self.push_product(&Product {
                    form: Form::Input,
                    math,
                    rows: left.len() / outputs.max(1),
                    outputs,
                    inputs,
                    left,
                    right: self.weight(one.layer.weight, math.operands()),
                    bias: None,
                    start: add.then_some(out),
                    out,
                })?;
                self.round(pass, View::now(target), token)
            }
            Back::Norm { norm: index, target, add } => {
                let NormStep { norm, input, out, .. } = plan.norms[index];
                let weight = self.param(norm.weight);
                let [dy, x, dx] = [gradient(out), input, View::now(target)].map(|view| pass.at(view, token));
                let width = weight.len();
                let mut goals = vec![(0, self.grad(norm.weight))];
                goals.extend(norm.bias.map(|bias| (width, self.grad(bias))));
                let blocks = NORM_BLOCKS.min((x.len() / width.max(1)).div_ceil(NORM_ROWS));
                // At each token, one after another.
                let [run, runs] = here.run.runs;
                let each = if token.is_some() { pass.of.tokens } else { 1 };
                let runs = [run * each + token.unwrap_or(0), runs * each];
                let partials =
                    self.sums.room(&mut self.layout, here.key(index), runs, [blocks, 2 * width], &goals);
                let operation = self.calls_for(width, Storage::F32).norm_backward(&NormBackward {
                    dy,
                    x,
                    weight,
                    residual: add.then_some(dx),
                    dx,
                    low: None,
                    total: None,
                    partials,
                    rms: norm.bias.is_none(),
                })?;
                self.push(operation);
                self.round(pass, View::now(target), token)
            }
        }
    }

    /// The gradients of the weights and biases, over all tokens.
    fn cell_weights(&mut self, here: Here<'_>, pass: &Pass<'_>) -> Result<()> {
        let (plan, back) = (&pass.cell.steps.plan, &pass.cell.steps.back);
        for (index, product) in plan.products.iter().enumerate() {
            let dout = View::now(back.gradients[product.out].unwrap_or(product.out));
            for term in &product.terms {
                let math = if term.layer.exact { Math::F32 } else { self.math };
                let [dy, x] = [dout, term.input].map(|view| pass.operand(view, None, term.layer.exact));
                let operation = self.weight_product(term.layer.weight, math, dy, x);
                self.push(Operation::Product(operation));
            }
            let biases = product.terms.iter().filter_map(|term| term.layer.bias);
            let goals: Vec<(usize, Span)> = biases.map(|bias| (0, self.grad(bias))).collect();
            if goals.is_empty() {
                continue;
            }
            let (calls, width, dy) = (self.calls(), pass.width(product.out), pass.at(dout, None));
            let chunks = calls.chunks_of(dy.len() / width, super::products::CHUNKS);
            let partials = self.sum(here, here.key(plan.norms.len() + index), [chunks, width], &goals);
            let operation = calls.partial_sums(dy, partials, width)?;
            self.push(operation);
        }
        Ok(())
    }
}
