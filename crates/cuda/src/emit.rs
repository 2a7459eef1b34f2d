//! From a lowered program's steps to the GPU's operations.

use std::collections::HashMap;

use looped_cpu::engines::Layout as Flat;
use looped_gpu::calls::{Calls, Columns, Cores, Given, Own, Picks, Seen, Shifted, StateSpace, States};
use looped_gpu::{Element, Error, Form, Layout, Math, Operation, Product, Result, Source, Span, Storage};
use looped_graph::lower::{At, Chunk, Kernel, Place, PointOf, ScanOf, Shared, Space, Start, Step};
use looped_graph::ops::Rotary;
use looped_graph::{Form as GraphForm, Graph, Heads, Norm, Op, Param};

use crate::low::{Late, Low, next_readers, written};
use crate::places::Places;
use crate::point;
use crate::stored::{Rule, Spot, Stored};
use crate::sums::{Key, Sums};

/// Blocks that share the rows of a norm's backward pass.
const NORM_BLOCKS: usize = 264;
/// Rows that a block of it takes at a time.
const NORM_ROWS: usize = 8;
/// Rows of partial sums over a matrix.
const CHUNKS: usize = 256;
/// The same over the matrices of all loops together.
const ALL_CHUNKS: usize = 512;
/// The width of heads where a model has none.
const NO_HEADS: usize = 16;

/// A list of steps and the one that goes back over it, with where their values are stored.
pub(crate) struct Pair<'c> {
    pub(crate) lists: [&'c [Step]; 2],
    pub(crate) stored: Stored,
}

/// Where and when a list of steps runs.
#[derive(Clone, Copy)]
pub(crate) struct Run<'c> {
    /// The pair that it is of.
    pub(crate) pair: &'c Pair<'c>,
    /// Its tokens.
    pub(crate) chunk: &'c Chunk,
    /// The slot of its loop.
    pub(crate) slot: usize,
    /// The loop, from 0.
    pub(crate) index: usize,
    /// Which of its runs this is, and how many there are.
    pub(crate) runs: [usize; 2],
}

/// Numbers that are the same for all batches, still to be written.
pub(crate) enum Constant {
    /// Floats.
    Floats(Span, Vec<f32>),
    /// Integers.
    Ints(Span, Vec<i32>),
}

/// Operations while they are put together.
pub(crate) struct Emit<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) flat: &'a Flat,
    pub(crate) math: Math,
    pub(crate) layout: Layout,
    pub(crate) places: Places,
    pub(crate) operations: Vec<Operation>,
    pub(crate) constants: Vec<Constant>,
    own: Option<Own>,
    heads: HashMap<usize, usize>,
    picks: Vec<(Chunk, Picks)>,
    turns: HashMap<usize, Span>,
    positions: usize,
    rooms: HashMap<(&'static str, usize), Span>,
    low: Low,
    sums: Sums,
}

/// A step of a list as it is translated.
#[derive(Clone, Copy)]
struct Here<'c> {
    run: Run<'c>,
    /// Whether it goes back.
    half: usize,
    steps: &'c [Step],
    /// The step.
    step: usize,
}

impl Here<'_> {
    fn of(&self) -> &Step {
        &self.steps[self.step]
    }

    /// Which list.
    fn list(&self) -> usize {
        self.steps.as_ptr() as usize
    }

    /// Where the next step copies what this one adds: both are done at once.
    fn copied_too(&self) -> Option<Place> {
        let next = self.steps.get(self.step + 1)?;
        let same = matches!(next.kernel, Kernel::Copy) && next.places[0] == self.of().places[0];
        same.then(|| next.places[1])
    }

    /// Whether the step before has copied what this one copies.
    fn was_copied(&self) -> bool {
        let before = self.step.checked_sub(1).map(|step| Here { step, ..*self });
        before
            .is_some_and(|before| matches!(before.of().kernel, Kernel::Add) && before.copied_too().is_some())
    }

    fn key(&self, which: usize) -> Key {
        (self.list(), self.step, which, None)
    }
}

impl<'a> Emit<'a> {
    /// `positions`: how many tokens a prompt has at most.
    pub(crate) fn new(
        graph: &'a Graph,
        flat: &'a Flat,
        math: Math,
        layout: Layout,
        places: Places,
        own: Option<Own>,
        positions: usize,
    ) -> Self {
        Self {
            graph,
            flat,
            math,
            layout,
            places,
            operations: Vec::new(),
            constants: Vec::new(),
            own,
            heads: heads(graph),
            picks: Vec::new(),
            turns: HashMap::new(),
            positions,
            rooms: HashMap::new(),
            low: Low::new(math.operands()),
            sums: Sums::default(),
        }
    }

    /// Calls of the kernels for rows of a width.
    fn calls_for(&self, width: usize, storage: Storage) -> Calls {
        let head = self.heads.get(&width).copied().unwrap_or(NO_HEADS);
        Calls { source: Source { width, head, storage } }
    }

    /// Calls of the kernels that don't know a width.
    pub(crate) fn calls(&self) -> Calls {
        // Attention's are compiled anyway, if there is any.
        let width = self.heads.keys().max().copied().unwrap_or(NO_HEADS);
        self.calls_for(width, Storage::F32)
    }

    /// Calls of the kernels that round.
    fn rounding(&self) -> Calls {
        Calls { source: Source { storage: Storage::Bf16, ..self.calls().source } }
    }

    pub(crate) fn push(&mut self, operation: Operation) {
        self.operations.push(operation);
    }

    /// Rounds the parameters, where products want that: before anything else.
    pub(crate) fn round_parameters(&mut self) -> Result<()> {
        if let Some(low) = self.places.low {
            let operation = self.rounding().narrow(self.places.front.values, low)?;
            self.push(operation);
        }
        Ok(())
    }

    /// The value of a parameter.
    fn param(&self, param: Param) -> Span {
        part(self.places.front.values, self.flat.param(param))
    }

    /// The gradient with respect to a parameter.
    fn grad(&self, param: Param) -> Span {
        part(self.places.front.grads, self.flat.param(param))
    }

    /// The value of a row that all prompts share, and the gradient with respect to it.
    fn shared(&self, shared: Shared, index: usize) -> [Span; 2] {
        let range = self.flat.shared(shared, index);
        [self.places.front.values, self.places.front.grads].map(|all| part(all, range.clone()))
    }

    /// Room of so many floats that the operations of one step need for themselves.
    fn room(&mut self, what: &'static str, len: usize) -> Span {
        *self.rooms.entry((what, len)).or_insert_with(|| self.layout.floats(len))
    }

    fn picks(&mut self, chunk: &Chunk) -> Picks {
        if let Some((_, picks)) = self.picks.iter().find(|(known, _)| known == chunk) {
            return *picks;
        }
        let place = |token: usize| {
            let found = chunk.reads.iter().position(|read| *read == token);
            found.map_or(-1, |place| place as i32)
        };
        let reads: Vec<i32> = chunk.reads.iter().map(|read| *read as i32).collect();
        let picked: Vec<i32> = (0..chunk.tokens).map(place).collect();
        let spans = [reads.len(), picked.len()].map(|len| self.layout.floats(len));
        self.constants.push(Constant::Ints(spans[0], reads));
        self.constants.push(Constant::Ints(spans[1], picked));
        let picks = Picks { tokens: chunk.tokens, reads: spans[0], picked: spans[1] };
        self.picks.push((chunk.clone(), picks));
        picks
    }

    fn turns(&mut self, head: usize) -> Span {
        if let Some(span) = self.turns.get(&head) {
            return *span;
        }
        let turn = |position| (0..head / 2).map(move |i| Rotary::turn(i, head, position));
        let all = (0..self.positions).flat_map(turn).flat_map(|(cos, sin)| [cos as f32, sin as f32]);
        let all: Vec<f32> = all.collect();
        let span = self.layout.floats(all.len());
        self.constants.push(Constant::Floats(span, all));
        self.turns.insert(head, span);
        span
    }

    /// A pair of lists on a chunk's tokens. Of a loop's slot, what lies before `own` is everybody's.
    pub(crate) fn pair<'c>(&self, lists: [&'c [Step]; 2], chunk: &Chunk, own: u32) -> Pair<'c> {
        let attention = |step: &Step| {
            let (heads, prefix, place) = match step.kernel {
                Kernel::Attention { heads, prefix } => (heads, prefix, step.places[2]),
                Kernel::AttentionBack { heads, prefix } => (heads, prefix, step.places[3]),
                _ => return false,
            };
            let head = place.len as usize / chunk.rows().max(1) / heads.heads.max(1);
            Cores::Tensor.can(Seen { tokens: chunk.tokens, prefix, causal: heads.causal }, head)
        };
        let rule = Rule { lists, own, rounds: self.math == Math::Bf16, attention: &attention };
        Pair { lists, stored: Stored::of(&rule) }
    }

    /// The operations of a pair's list, forward (0) or backward (1).
    pub(crate) fn list(&mut self, half: usize, run: Run<'_>) -> Result<()> {
        let steps = run.pair.lists[half];
        self.low.begin();
        for step in 0..steps.len() {
            for place in written(&steps[step]) {
                self.low.forget(self.places.at(place, run.slot));
            }
            self.step(Here { run, half, steps, step }).map_err(|error| self.told(&steps[step], error))?;
        }
        Ok(())
    }

    /// An error with the node's name and place.
    fn told(&self, step: &Step, error: Error) -> Error {
        let node = self.graph.node(step.node);
        let scope = if node.scope.is_empty() { String::new() } else { format!("{}: ", node.scope) };
        Error::Operation {
            operation: format!("{scope}{} at {}", node.name(), node.at),
            problem: error.to_string(),
        }
    }

    /// What was left for the end of a step: gradients that are sums over all loops.
    pub(crate) fn finish(&mut self) -> Result<()> {
        for Late { operands, weight, bias } in std::mem::take(&mut self.low.all_late) {
            let [Some(dy), Some(x)] = operands else { continue };
            let product = self.weight_product(weight, self.math, dy, x);
            self.push(Operation::Product(product));
            if let Some(bias) = bias {
                let (goal, calls) = (self.grad(bias), self.calls_of(dy));
                let width = goal.len();
                let partials =
                    self.layout.floats(calls.chunks_of(dy.len() / width.max(1), ALL_CHUNKS) * width);
                let sums = calls.partial_sums(dy, partials, width)?;
                self.push(sums);
                let totals = calls.totals(partials, [width, width], goal, true)?;
                self.push(totals);
            }
        }
        let (calls, mut operations) = (self.calls(), Vec::new());
        self.sums.totals(&calls, &mut operations)?;
        self.operations.append(&mut operations);
        Ok(())
    }

    /// Calls of the kernels that don't know a width, for numbers stored as these.
    fn calls_of(&self, numbers: Span) -> Calls {
        if numbers.element() == Element::Bf16 { self.rounding() } else { self.calls() }
    }

    /// Where the numbers of one of a step's places lie.
    fn get(&self, here: Here<'_>, which: usize) -> Span {
        let span = self.places.at(here.of().places[which], here.run.slot);
        self.low.known(span).unwrap_or(span)
    }

    /// Where the numbers go that a step writes to one of its places.
    fn put(&mut self, here: Here<'_>, which: usize) -> Span {
        let place = here.of().places[which];
        let span = self.places.at(place, here.run.slot);
        let (stored, spot) = (&here.run.pair.stored, (here.half, here.step, which));
        if !stored.elsewhere(spot) {
            return span;
        }
        let kept = place.space == Space::Slot;
        let to = match stored.home(spot) {
            Some(home) => self.home(here.run, home),
            None if self.math != Math::Bf16 => return span,
            None if kept => self.low.keeping(&mut self.layout, span),
            None => self.low.passing(&mut self.layout, span.len()),
        };
        self.low.note(span, to, kept);
        to
    }

    /// Room for the operand of a weight's gradient.
    fn home(&mut self, run: Run<'_>, (half, step, operand): Spot) -> Span {
        let steps = run.pair.lists[half];
        let at = (steps.as_ptr() as usize, step);
        self.low.late(&mut self.layout, at, &steps[step], run.runs, operand)
    }

    fn step(&mut self, here: Here<'_>) -> Result<()> {
        let Here { run, .. } = here;
        let Step { kernel, places, .. } = here.of();
        let at = |emit: &Self, i: usize| emit.places.at(places[i], run.slot);
        let maybe = |emit: &Self, i: usize| Some(at(emit, i)).filter(|span| span.len() > 0);
        let (chunk, calls) = (run.chunk, self.calls());
        let rows = chunk.rows().max(1);
        let operation = match kernel {
            Kernel::Product { weight, transposed, exact, start } => {
                let (bias, start, out) = match start {
                    Start::Zero => (None, None, self.put(here, 1)),
                    Start::Output => (None, Some(at(self, 1)), at(self, 1)),
                    Start::Bias(bias) => (Some(*bias), None, self.put(here, 1)),
                    Start::Residual(bias) => (Some(*bias), Some(at(self, 1)), at(self, 2)),
                };
                return self.product(here, *weight, *transposed, *exact, bias, start, out);
            }
            Kernel::ProductGelu { weight, bias, exact } => {
                let pre = at(self, 1);
                self.product(here, *weight, false, *exact, Some(*bias), None, pre)?;
                let out = self.put(here, 2);
                self.calls_of(out).gelu_of(pre, out)?
            }
            Kernel::ProductGeluOnly { weight, bias, exact } => {
                let pre = at(self, 1);
                self.product(here, *weight, false, *exact, Some(*bias), None, pre)?;
                let out = self.put(here, 1);
                self.calls_of(out).gelu_of(pre, out)?
            }
            Kernel::ProductGeluBack { weight, exact } => {
                let out = self.put(here, 2);
                self.product(here, *weight, true, *exact, None, None, out)?;
                let (pre, kept) = (at(self, 1), run.pair.stored.gelu_is_kept(here.step));
                if let (true, (Some((step, operand)), _)) =
                    (kept, next_readers(here.steps, here.step + 1, places[1]))
                {
                    let home = self.home(run, (here.half, step, operand));
                    self.low.note(pre, home, false);
                }
                self.calls_of(out).gelu_turn(out, pre, !kept)?
            }
            Kernel::WeightGradient { weight, out, bias, exact } => {
                return self.weight_gradient(here, *weight, *out, *bias, *exact);
            }
            Kernel::Dot { weight, bias, picks } => {
                let picks = picks.then(|| self.picks(chunk));
                let (x, out) = (at(self, 0), at(self, 1));
                if out.len() == 0 {
                    return Ok(());
                }
                let bias = bias.map(|bias| self.param(bias));
                calls.dot_rows(x, self.param(*weight), bias, picks, out)?
            }
            Kernel::DotBack { weight, bias, picks } => {
                let picks = picks.then(|| self.picks(chunk));
                let (dy, x, dx) = (at(self, 0), at(self, 1), at(self, 2));
                if dy.len() == 0 {
                    return Ok(());
                }
                let width = self.param(*weight).len();
                let mut goals = vec![(0, self.grad(*weight))];
                goals.extend(bias.map(|bias| (width, self.grad(bias))));
                let partials = self.sum(here, here.key(0), [Calls::dot_blocks(dy.len()), width + 1], &goals);
                calls.dot_rows_backward([dy, x, self.param(*weight)], picks, dx, partials)?
            }
            Kernel::Norm(norm) => {
                let out = self.put(here, 1);
                let calls = self.calls_for(self.param(norm.weight).len(), storage(out));
                let bias = norm.bias.map(|bias| self.param(bias));
                calls.add_norm(at(self, 0), None, [Some(self.param(norm.weight)), bias], None, out)?
            }
            Kernel::NormBack { norm, add } => return self.norm_back(here, *norm, *add),
            Kernel::Attention { heads, prefix } => {
                let (qkv, out, kept) = (self.get(here, 0), self.put(here, 2), at(self, 3));
                let (calls, by, seen) = self.seen(*heads, *prefix, chunk, out);
                let logs = kept.part(0, heads.heads * rows);
                calls.attention(by, seen, [qkv, out], maybe(self, 1), logs)?
            }
            Kernel::AttentionBack { heads, prefix } => {
                let (qkv, kept, dout) = (self.get(here, 0), at(self, 2), self.get(here, 3));
                let (dqkv, out) = (self.put(here, 4), Some(self.get(here, 6)));
                let (calls, by, seen) = self.seen(*heads, *prefix, chunk, dout);
                let logs = kept.part(0, heads.heads * rows);
                let earlier = [maybe(self, 1), maybe(self, 5)];
                calls.attention_backward(by, seen, [qkv, dout], out, earlier, logs, dqkv)?
            }
            Kernel::Scan(of) => {
                let states = States { before: maybe(self, 1), last: maybe(self, 3) };
                calls.scan(&self.system(*of), states, at(self, 0), at(self, 2), chunk.tokens)?
            }
            Kernel::ScanBack(of) => return self.scan_back(here, *of),
            Kernel::Point(of) => return self.point(here, of),
            Kernel::TakeColumns { start, of, add } => {
                let (x, out) = (at(self, 0), at(self, 1));
                let rows = x.len() / of;
                let width = out.len() / rows.max(1);
                let from = Columns { rows: x, of: *of, from: *start };
                return self.columns(from, Columns { rows: out, of: width, from: 0 }, rows, width, *add);
            }
            Kernel::PutColumns { start, of, add } => {
                let (x, out) = (at(self, 0), at(self, 1));
                let rows = out.len() / of;
                let width = x.len() / rows.max(1);
                let from = Columns { rows: x, of: width, from: 0 };
                return self.columns(from, Columns { rows: out, of: *of, from: *start }, rows, width, *add);
            }
            Kernel::Shift { by } => {
                let x = at(self, 0);
                let of = Shifted { tokens: chunk.tokens, width: x.len() / rows, by: *by };
                calls.shift_rows(of, x, maybe(self, 1), at(self, 2), maybe(self, 3))?
            }
            Kernel::ShiftBack { by, add } => {
                let dout = at(self, 0);
                let of = Shifted { tokens: chunk.tokens, width: dout.len() / rows, by: *by };
                let all =
                    calls.shift_rows_backward(of, dout, maybe(self, 1), at(self, 2), maybe(self, 3), *add)?;
                self.operations.extend(all);
                return Ok(());
            }
            Kernel::Positions(table) => {
                let (x, out) = (at(self, 0), at(self, 1));
                calls.add_positions(x, positions(self.param(*table), chunk, out), out)?
            }
            Kernel::PositionsBack(table) => {
                let d = at(self, 0);
                calls.add_positions_backward(d, positions(self.grad(*table), chunk, d))?
            }
            Kernel::Rotary { rotary, back } => {
                let (x, out) = (at(self, 0), at(self, 1));
                let width = x.len() / rows;
                let (head, turned) = (rotary.head(width), rotary.parts * (width / rotary.of));
                let turns = self.turns(head);
                calls.rotate_rows(x, turns, out, [chunk.tokens, width], [head, turned], chunk.first, *back)?
            }
            Kernel::Add | Kernel::Copy | Kernel::Fill(_) => {
                let out = at(self, places.len() - 1);
                if out.len() == 0 {
                    return Ok(());
                }
                match kernel {
                    Kernel::Fill(number) => calls.fill_rows(out, *number)?,
                    Kernel::Add => match here.copied_too() {
                        Some(copy) => {
                            calls.add_and_copy_rows(at(self, 0), out, self.places.at(copy, run.slot))?
                        }
                        None => calls.add_rows(at(self, 0), out)?,
                    },
                    _ if here.was_copied() => return Ok(()),
                    _ => calls.copy_rows(at(self, 0), out)?,
                }
            }
            Kernel::Keep { from, to, lost } => {
                let (x, out) = (at(self, 0), at(self, 1));
                calls.keep_rows(x, out, [chunk.tokens, out.len() / rows], [*from, *to], *lost)?
            }
            Kernel::Lose { from, to } => {
                let d = at(self, 0);
                calls.keep_rows(d, d, [chunk.tokens, d.len() / rows], [*from, *to], 0.0)?
            }
            Kernel::Gather => {
                let (x, out) = (at(self, 0), at(self, 1));
                if out.len() == 0 {
                    return Ok(());
                }
                let picks = self.picks(chunk);
                calls.gather_rows(x, picks, out, x.len() / rows)?
            }
            Kernel::Scatter { add } => {
                let (x, out) = (at(self, 0), at(self, 1));
                let picks = self.picks(chunk);
                calls.scatter_rows(x, picks, out, out.len() / rows, *add)?
            }
            Kernel::Recur(_) | Kernel::RecurBack(_) | Kernel::Island(_) | Kernel::IslandBack(_) => {
                let problem = "there is no CUDA kernel for it".to_owned();
                return Err(Error::Operation { operation: "CUDA".to_owned(), problem });
            }
        };
        self.push(operation);
        Ok(())
    }

    /// Room for partial sums, and what they are for.
    fn sum(&mut self, here: Here<'_>, key: Key, shape: [usize; 2], goals: &[(usize, Span)]) -> Span {
        // What has a gradient of its own in each loop is summed up alone.
        let runs = if key.3.is_some() { [0, 1] } else { here.run.runs };
        self.sums.room(&mut self.layout, key, runs, shape, goals)
    }

    /// The operand of a product that a step begins with: as it is, or rounded.
    fn operand(&mut self, here: Here<'_>, exact: bool) -> Result<Span> {
        let place = here.of().places[0];
        let span = self.places.at(place, here.run.slot);
        if exact {
            return Ok(span);
        }
        if self.math != Math::Bf16 || self.low.known(span).is_some() {
            return Ok(self.get(here, 0));
        }
        let to = match next_readers(here.steps, here.step, place) {
            (Some((step, operand)), _) => self.home(here.run, (here.half, step, operand)),
            _ => self.low.passing(&mut self.layout, span.len()),
        };
        let operation = self.rounding().narrow(span, to)?;
        self.push(operation);
        self.low.note(span, to, false);
        Ok(to)
    }

    /// A product that a step begins with: of its first place.
    #[allow(clippy::too_many_arguments)]
    fn product(
        &mut self,
        here: Here<'_>,
        weight: Param,
        transposed: bool,
        exact: bool,
        bias: Option<Param>,
        start: Option<Span>,
        out: Span,
    ) -> Result<()> {
        if out.len() == 0 {
            return Ok(());
        }
        let math = if exact { Math::F32 } else { self.math };
        let [outputs, inputs] = self.sides(weight);
        let left = self.operand(here, exact)?;
        let rounded = |emit: &Self, param: Param, element: Element| match emit.places.low {
            Some(low) if element == Element::Bf16 => part(low, emit.flat.param(param)),
            _ => emit.param(param),
        };
        let right = rounded(self, weight, math.operands());
        let bias = bias.map(|bias| rounded(self, bias, out.element()));
        let (form, each) = if transposed { (Form::Input, outputs) } else { (Form::Forward, inputs) };
        let rows = left.len() / each.max(1);
        self.push(Operation::Product(Product {
            form,
            math,
            rows,
            outputs,
            inputs,
            left,
            right,
            bias,
            start,
            out,
        }));
        Ok(())
    }

    /// The sides of a weight: outputs, inputs.
    fn sides(&self, weight: Param) -> [usize; 2] {
        let info = &self.graph.params()[weight.index()];
        let outputs = info.dims.first().copied().unwrap_or(1);
        [outputs, info.len() / outputs.max(1)]
    }

    /// A weight's gradient, to be added to what is there.
    fn weight_product(&self, weight: Param, math: Math, dy: Span, x: Span) -> Product {
        let ([outputs, inputs], out) = (self.sides(weight), self.grad(weight));
        Product {
            form: Form::Weight,
            math,
            rows: dy.len() / outputs.max(1),
            outputs,
            inputs,
            left: dy,
            right: x,
            bias: None,
            start: Some(out),
            out,
        }
    }

    fn weight_gradient(
        &mut self,
        here: Here<'_>,
        weight: Param,
        width: usize,
        bias: Option<Param>,
        exact: bool,
    ) -> Result<()> {
        let [dy, x] = [0, 1].map(|i| self.places.at(here.of().places[i], here.run.slot));
        if dy.len() == 0 {
            return Ok(());
        }
        let late =
            !exact && (self.math == Math::Bf16 || [dy, x].iter().any(|of| self.low.known(*of).is_some()));
        if !late {
            if let Some(bias) = bias {
                let calls = self.calls();
                let chunks = calls.chunks_of(dy.len() / width.max(1), CHUNKS);
                let partials = self.sum(here, here.key(0), [chunks, width], &[(0, self.grad(bias))]);
                let operation = calls.partial_sums(dy, partials, width)?;
                self.push(operation);
            }
            let math = if exact { Math::F32 } else { self.math };
            let product = self.weight_product(weight, math, dy, x);
            self.push(Operation::Product(product));
            return Ok(());
        }
        // The operands stay where all loops' lie together, and the product comes at the end.
        let at = (here.list(), here.step);
        for (operand, span) in [dy, x].into_iter().enumerate() {
            let known = self.low.known(span);
            if known.is_some_and(|known| self.low.share(at, here.of(), here.run.runs, operand, known)) {
                continue;
            }
            let home = self.home(here.run, (here.half, here.step, operand));
            let operation = match home.element() {
                Element::Bf16 => self.rounding().narrow(span, home)?,
                _ => self.calls().copy_rows(span, home)?,
            };
            self.push(operation);
        }
        Ok(())
    }

    fn norm_back(&mut self, here: Here<'_>, norm: Norm, add: bool) -> Result<()> {
        let places = &here.of().places;
        let [dy, x, dx] = [0, 1, 4].map(|i| self.places.at(places[i], here.run.slot));
        let (weight, width) = (self.param(norm.weight), self.param(norm.weight).len());
        let rows = x.len() / width.max(1);
        if rows == 0 {
            return Ok(());
        }
        let mut goals = vec![(0, self.grad(norm.weight))];
        goals.extend(norm.bias.map(|bias| (width, self.grad(bias))));
        let blocks = NORM_BLOCKS.min(rows.div_ceil(NORM_ROWS));
        let partials = self.sum(here, here.key(0), [blocks, 2 * width], &goals);
        // What products read of it next is rounded at once.
        let low = match (self.math, next_readers(here.steps, here.step + 1, places[4])) {
            (Math::Bf16, (Some((step, operand)), _)) => Some(self.home(here.run, (here.half, step, operand))),
            (Math::Bf16, (None, true)) => Some(self.low.passing(&mut self.layout, dx.len())),
            _ => None,
        };
        if let Some(low) = low {
            self.low.note(dx, low, false);
        }
        let kind = if low.is_some() { Storage::Bf16 } else { Storage::F32 };
        let (calls, residual) = (self.calls_for(width, kind), add.then_some(dx));
        let operation =
            calls.norm_backward(dy, x, weight, residual, dx, low, partials, norm.bias.is_none())?;
        self.push(operation);
        Ok(())
    }

    /// How attention is done to rows as wide as `out`'s.
    fn seen(&self, heads: Heads, prefix: usize, chunk: &Chunk, out: Span) -> (Calls, Cores, Seen) {
        let width = out.len() / chunk.rows().max(1);
        let source = Source { width, head: width / heads.heads.max(1), storage: storage(out) };
        let seen = Seen { tokens: chunk.tokens, prefix, causal: heads.causal };
        let tensor = self.math != Math::F32 && Cores::Tensor.can(seen, source.head);
        (Calls { source }, if tensor { Cores::Tensor } else { Cores::Plain }, seen)
    }

    fn system(&self, of: ScanOf) -> StateSpace {
        let [decay, gain, read, skip] = of.system.map(|shared| self.shared(shared, 0)[0]);
        StateSpace { decay, gain, read, skip }
    }

    fn scan_back(&mut self, here: Here<'_>, of: ScanOf) -> Result<()> {
        let places = &here.of().places;
        let [x, before, dlast, dy, dbefore] =
            [0, 1, 2, 3, 4].map(|i| self.places.at(places[i], here.run.slot));
        let maybe = |span: Span| Some(span).filter(|span| span.len() > 0);
        let goals: Vec<(usize, Span)> = of
            .system
            .iter()
            .scan(0, |column, shared| {
                let goal = self.shared(*shared, 0)[1];
                let first = *column;
                *column += goal.len();
                Some((first, goal))
            })
            .collect();
        let (sequences, calls) = (here.run.chunk.sequences, self.calls());
        let kept = self.room("states of a scan", 8 * x.len());
        let dx = self.room("gradient of a scan", x.len());
        let partials = self.sum(here, here.key(0), [sequences, 3 * of.states + of.width], &goals);
        let slopes = States { before: maybe(dbefore), last: maybe(dlast) };
        let (system, tokens) = (self.system(of), here.run.chunk.tokens);
        let operation =
            calls.scan_backward(&system, maybe(before), slopes, [x, dy], dx, kept, partials, tokens)?;
        self.push(operation);
        self.push(calls.copy_rows(dx, dy)?);
        Ok(())
    }

    fn point(&mut self, here: Here<'_>, of: &PointOf) -> Result<()> {
        let places = &here.of().places;
        let lens: Vec<usize> = places.iter().map(|place| place.len as usize).collect();
        let rows = point::rows(of, &lens);
        if rows == 0 || of.width == 0 {
            return Ok(());
        }
        let inputs = of.inputs.iter().map(|strided| match strided.at {
            At::Place(place) => Given::Read(self.places.at(places[place], here.run.slot)),
            At::Shared(shared) | At::Gradient(shared) => Given::Read(self.shared(shared, here.run.index)[0]),
        });
        let inputs = inputs.collect();
        let mut results = Vec::new();
        for (which, (strided, _)) in of.results.iter().enumerate() {
            results.push(Given::Write(match strided.at {
                At::Place(place) => self.places.at(places[place], here.run.slot),
                At::Shared(shared) | At::Gradient(shared) => {
                    let goal = self.shared(shared, here.run.index)[1].part(strided.column, of.width);
                    let own = matches!(shared, Shared::Loop { .. }).then_some(here.run.index);
                    let key = (here.list(), here.step, which, own);
                    self.sum(here, key, [point::lines(of, rows), of.width], &[(0, goal)])
                }
            }));
        }
        let Some(own) = &self.own else { return Ok(()) };
        let given = point::arguments(inputs, results, rows);
        let operation = own.launch(&point::name(of), point::grid(of, rows), &given)?;
        self.push(operation);
        Ok(())
    }

    fn columns(&mut self, from: Columns, to: Columns, rows: usize, width: usize, add: bool) -> Result<()> {
        if rows * width > 0 {
            let operation = self.calls().move_columns(from, to, rows, width, add)?;
            self.push(operation);
        }
        Ok(())
    }
}

/// How numbers are stored at a place.
fn storage(numbers: Span) -> Storage {
    if numbers.element() == Element::Bf16 { Storage::Bf16 } else { Storage::F32 }
}

fn part(of: Span, range: std::ops::Range<usize>) -> Span {
    of.part(range.start, range.len())
}

/// A table's rows at a chunk's tokens.
fn positions(table: Span, chunk: &Chunk, rows: Span) -> Span {
    let width = rows.len() / chunk.rows().max(1);
    table.part(chunk.first * width, chunk.tokens * width)
}

/// The width of heads in attention to rows of each width: kernels are compiled for both together.
fn heads(graph: &Graph) -> HashMap<usize, usize> {
    let mut heads = HashMap::new();
    for id in graph.ids() {
        let node = graph.node(id);
        if let Some(GraphForm::Attention(of)) = node.op().map(Op::form) {
            let width = node.shapes[0].width;
            heads.insert(width, width / of.heads.max(1));
        }
    }
    heads
}

/// Sets floats to 0.
pub(crate) fn clear(span: Span) -> Operation {
    debug_assert_eq!(span.element(), Element::F32);
    Operation::Clear(span)
}
