//! Launches of the kernels, each checked: every place holds what the kernel touches there, aligned as it loads it.

use crate::source::{SIGNATURES, Source, constant};
use crate::{Element, Error, Operation, Result, Span, Storage};

/// One launch of a kernel, made by [`Calls`].
#[derive(Clone, Debug)]
pub struct Launch {
    pub(crate) kernel: &'static str,
    pub(crate) source: Source,
    pub(crate) grid: [u32; 2],
    pub(crate) shared: u32,
    pub(crate) arguments: Vec<Argument>,
}

/// What a kernel is given in one place of its argument list.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Argument {
    /// A place that it only reads; or null.
    Read(Option<Span>),
    /// A place that it writes; or null.
    Write(Option<Span>),
    Int(i32),
    Float(f32),
}

/// Adam's settings on the device: learning rate, largest norm, both betas, eps, weight decay.
pub const SETTINGS: usize = 6;
/// What one update decides: norm, clip, step size, scale of the second moment, finite (integer), updates (integer).
pub const DECISION: usize = 6;

/// Makes launches of the kernels compiled for one width, head and storage.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// What they are compiled for.
    pub source: Source,
}

/// The final norm with the read-out behind it: parameters of [`Calls::enter`] and [`Calls::leave`].
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// The final norm's weight (width).
    pub weight: Span,
    /// Its bias (width).
    pub bias: Span,
    /// The read-out's weight (width).
    pub read_weight: Span,
    /// Its bias (1).
    pub read_bias: Span,
}

/// Arguments of [`Calls::enter`].
#[derive(Clone, Copy, Debug)]
pub struct Enter {
    /// Rows of a sequence.
    pub tokens: usize,
    /// The first of them that keeps its state from loop to loop; those before enter each with 0.
    pub kept_from: usize,
    /// The blocks' output (rows, width); none before the first loop.
    pub y: Option<Span>,
    /// What it goes through.
    pub ending: Ending,
    /// Where the predictions go (sequences, points), if they are read.
    pub predictions: Option<Span>,
    /// The next loop, if there is one.
    pub next: Option<Next>,
}

/// The loop that [`Calls::enter`] begins.
#[derive(Clone, Copy, Debug)]
pub struct Next {
    /// The embedded prompts with their positions (rows, width).
    pub input: Span,
    /// The blocks' input (rows, width).
    pub x: Span,
    /// The first norm's weight (width).
    pub weight: Span,
    /// Its bias (width).
    pub bias: Span,
    /// Its output (rows, width), as stored.
    pub normed: Span,
}

/// Arguments of [`Calls::leave`].
#[derive(Clone, Copy, Debug)]
pub struct Leave {
    /// Rows in all.
    pub rows: usize,
    /// Rows of a sequence.
    pub tokens: usize,
    /// The first of them that keeps its state from loop to loop.
    pub kept_from: usize,
    /// The loop that follows, if one does.
    pub after: Option<After>,
    /// The loop before, if gradient reaches it.
    pub before: Option<Before>,
    /// Sums over each block's rows (blocks, 5 width).
    pub partials: Span,
}

/// The loop whose input's derivative [`Calls::leave`] computes.
#[derive(Clone, Copy, Debug)]
pub struct After {
    /// Derivative by the first norm's output (rows, width).
    pub dn: Span,
    /// The blocks' input (rows, width).
    pub x: Span,
    /// The first norm's weight (width).
    pub weight: Span,
    /// Derivative by the blocks' input past the norm (rows, width).
    pub residual: Span,
    /// Derivative by the embedded prompts (rows, width): added to.
    pub dinput: Span,
    /// Whether `dinput` is written instead.
    pub fresh: bool,
}

/// The loop whose output's derivative [`Calls::leave`] computes.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    /// The blocks' output (rows, width).
    pub y: Span,
    /// What it goes through.
    pub ending: Ending,
    /// Predictions and targets, each (sequences, points), and 2 over the number of all predictions.
    pub errors: Option<(Span, Span, f32)>,
    /// Derivative by the blocks' output (rows, width).
    pub dy: Span,
    /// The same as stored, where that differs.
    pub low: Option<Span>,
}

/// Places of [`Calls::adam`], each as long as the parameters.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// The parameters.
    pub parameters: Span,
    /// Their gradients.
    pub gradients: Span,
    /// Running means of the gradients.
    pub first: Span,
    /// And of their squares.
    pub second: Span,
    /// The parameters as stored, where that differs.
    pub low: Option<Span>,
}

/// Collects a launch's arguments, and the first thing that is wrong with them.
struct Builder {
    kernel: &'static str,
    source: Source,
    arguments: Vec<Argument>,
    problem: Option<String>,
}

impl Builder {
    fn check(&mut self, span: Option<Span>, len: usize, element: Element, aligned: usize) -> Option<Span> {
        let span = span?;
        let place = self.arguments.len();
        if span.len() < len || span.element() != element {
            let has = format!("{} {:?}", span.len(), span.element());
            self.problem.get_or_insert(format!("argument {place} holds {has}, not {len} {element:?}"));
        }
        if !(span.alignment() as usize).is_multiple_of(aligned) {
            self.problem.get_or_insert(format!("argument {place} isn't aligned to {aligned} bytes"));
        }
        Some(span)
    }

    /// A place of floats that rows are read from or written to.
    fn aligned(&self, element: Element) -> usize {
        let run = match self.source.width {
            width if width.is_multiple_of(128) => 4,
            width if width.is_multiple_of(64) => 2,
            _ => 1,
        };
        run * element.bytes()
    }

    fn read(self, span: Span, len: usize) -> Self {
        self.read_maybe(Some(span), len)
    }

    fn read_maybe(mut self, span: Option<Span>, len: usize) -> Self {
        let span = self.check(span, len, Element::F32, self.aligned(Element::F32));
        self.arguments.push(Argument::Read(span));
        self
    }

    fn write(self, span: Span, len: usize) -> Self {
        self.write_maybe(Some(span), len)
    }

    fn write_maybe(mut self, span: Option<Span>, len: usize) -> Self {
        let span = self.check(span, len, Element::F32, self.aligned(Element::F32));
        self.arguments.push(Argument::Write(span));
        self
    }

    /// A place of stored values, loaded `bytes` at a time.
    fn read_stored(mut self, span: Span, len: usize, bytes: usize) -> Self {
        let span = self.check(Some(span), len, self.source.storage.element(), bytes);
        self.arguments.push(Argument::Read(span));
        self
    }

    fn write_stored(mut self, span: Option<Span>, len: usize, bytes: usize) -> Self {
        let span = self.check(span, len, self.source.storage.element(), bytes);
        self.arguments.push(Argument::Write(span));
        self
    }

    /// A place of another element.
    fn other(mut self, span: Span, len: usize, element: Element, writes: bool) -> Self {
        let span = self.check(Some(span), len, element, element.bytes());
        self.arguments.push(if writes { Argument::Write(span) } else { Argument::Read(span) });
        self
    }

    fn int(mut self, value: usize) -> Self {
        match i32::try_from(value) {
            Ok(value) => self.arguments.push(Argument::Int(value)),
            Err(_) => {
                self.problem.get_or_insert(format!("{value} is past a kernel's integers"));
            }
        }
        self
    }

    fn float(mut self, value: f32) -> Self {
        self.arguments.push(Argument::Float(value));
        self
    }

    fn launch(self, blocks: usize) -> Result<Operation> {
        self.launch_plane([blocks, 1], 0)
    }

    fn launch_plane(mut self, grid: [usize; 2], shared: usize) -> Result<Operation> {
        if grid.contains(&0) || grid[0] > i32::MAX as usize || grid[1] > 65_535 {
            self.problem.get_or_insert(format!("a grid of {grid:?} blocks"));
        }
        if let Some(problem) = self.problem {
            return Err(Error::Operation { operation: self.kernel.to_owned(), problem });
        }
        let (kernel, source, arguments) = (self.kernel, self.source, self.arguments);
        let grid = grid.map(|n| n as u32);
        Ok(Operation::Launch(Launch { kernel, source, grid, shared: shared as u32, arguments }))
    }
}

/// The norms' eps.
const EPS: f32 = 1e-5;

impl Calls {
    fn call(&self, kernel: &'static str) -> Builder {
        Builder { kernel, source: self.source, arguments: Vec::new(), problem: None }
    }

    fn run(&self) -> usize {
        self.call("").aligned(self.source.storage.element())
    }

    /// `sum = x + residual`, `y = norm(sum) weight + bias`; without a bias it is RMS norm.
    ///
    /// # Errors
    /// If a place doesn't fit; so in all that follow.
    pub fn add_norm(
        &self,
        x: Span,
        residual: Option<Span>,
        [weight, bias]: [Option<Span>; 2],
        sum: Option<Span>,
        y: Span,
    ) -> Result<Operation> {
        let width = self.source.width;
        let rows = x.len() / width;
        let call = self.call("add_norm").read(x, rows * width).read_maybe(residual, rows * width);
        let call = call.read_maybe(weight, width).read_maybe(bias, width).write_maybe(sum, rows * width);
        let call = call.write_stored(Some(y), rows * width, self.run());
        let blocks = rows.div_ceil(constant("NORM_WARPS") as usize);
        call.int(rows).int(usize::from(bias.is_none())).float(EPS).launch(blocks)
    }

    /// The derivative by a norm's input, with a residual's added; sums for the weight and the bias go to `partials`
    /// (blocks, 2 width).
    ///
    /// # Errors
    /// If a place doesn't fit.
    #[allow(clippy::too_many_arguments)]
    pub fn norm_backward(
        &self,
        dy: Span,
        x: Span,
        weight: Span,
        residual: Option<Span>,
        dx: Span,
        low: Option<Span>,
        partials: Span,
        rms: bool,
    ) -> Result<Operation> {
        let width = self.source.width;
        let rows = x.len() / width;
        let blocks = partials.len() / (2 * width);
        let call =
            self.call("norm_backward").read(dy, rows * width).read(x, rows * width).read(weight, width);
        let call = call.read_maybe(residual, rows * width).write(dx, rows * width);
        let call = call.write_stored(low, rows * width, self.run()).write(partials, blocks * 2 * width);
        call.int(rows).int(usize::from(rms)).float(EPS).launch(blocks)
    }

    /// Between two loops: final norm, predictions, injection, first norm.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn enter(&self, rows: usize, arguments: &Enter) -> Result<Operation> {
        let Enter { tokens, kept_from, y, ending, predictions, next } = *arguments;
        let (width, points) = (self.source.width, tokens.div_ceil(2));
        let all = rows * width;
        let call = self.call("enter").read_maybe(y, all).read(ending.weight, width).read(ending.bias, width);
        let call = call.read(ending.read_weight, width).other(ending.read_bias, 1, Element::F32, false);
        let predictions = predictions.or(if y.is_some() { None } else { predictions });
        let mut call = call;
        let span = call.check(predictions, rows / tokens.max(1) * points, Element::F32, 4);
        call.arguments.push(Argument::Write(span));
        let call = call.read_maybe(next.map(|n| n.input), all).write_maybe(next.map(|n| n.x), all);
        let call = call.read_maybe(next.map(|n| n.weight), width).read_maybe(next.map(|n| n.bias), width);
        let call = call.write_stored(next.map(|n| n.normed), all, self.run());
        if tokens == 0 || !rows.is_multiple_of(tokens) {
            return Err(Error::Operation {
                operation: "enter".to_owned(),
                problem: format!("{rows} rows aren't sequences of {tokens} tokens"),
            });
        }
        let call = call.int(rows).int(tokens).float(EPS).int(kept_from);
        call.launch(rows.div_ceil(constant("LOOP_WARPS") as usize))
    }

    /// Between two loops, backward.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn leave(&self, arguments: &Leave) -> Result<Operation> {
        let Leave { rows, tokens, kept_from, after, before, partials } = *arguments;
        let (width, points) = (self.source.width, tokens.div_ceil(2));
        let all = rows * width;
        let blocks = partials.len() / (5 * width);
        let call =
            self.call("leave").read_maybe(after.map(|a| a.dn), all).read_maybe(after.map(|a| a.x), all);
        let call = call.read_maybe(after.map(|a| a.weight), width).read_maybe(after.map(|a| a.residual), all);
        let call = call.write_maybe(after.map(|a| a.dinput), all);
        let call = call.int(usize::from(after.is_some_and(|a| a.fresh))).read_maybe(before.map(|b| b.y), all);
        let ending = before.map(|b| b.ending);
        let call = call.read_maybe(ending.map(|e| e.weight), width).read_maybe(ending.map(|e| e.bias), width);
        let mut call = call.read_maybe(ending.map(|e| e.read_weight), width);
        let errors = before.and_then(|b| b.errors);
        for values in [errors.map(|e| e.0), errors.map(|e| e.1)] {
            let span = call.check(values, rows / tokens.max(1) * points, Element::F32, 4);
            call.arguments.push(Argument::Read(span));
        }
        let call = call.float(errors.map_or(0.0, |e| e.2)).write_maybe(before.map(|b| b.dy), all);
        let call = call.write_stored(before.and_then(|b| b.low), all, self.run());
        let call = call.write(partials, blocks * 5 * width);
        if tokens == 0 || !rows.is_multiple_of(tokens) {
            return Err(Error::Operation {
                operation: "leave".to_owned(),
                problem: format!("{rows} rows aren't sequences of {tokens} tokens"),
            });
        }
        call.int(rows).int(tokens).float(EPS).int(kept_from).launch(blocks)
    }

    /// The mean squared error of all predictions (loops, count), and the sum of its slopes: the derivative by the
    /// read-out's bias.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn squared_loss(
        &self,
        predictions: Span,
        targets: Span,
        loss: Span,
        slopes: Span,
    ) -> Result<Operation> {
        let count = targets.len();
        let loops = predictions.len() / count.max(1);
        let call = self.call("squared_loss").other(predictions, loops * count, Element::F32, false);
        let call = call.other(targets, count, Element::F32, false).other(loss, 1, Element::F32, true);
        let call = call.other(slopes, 1, Element::F32, true);
        call.int(loops).int(count).launch(1)
    }

    /// Adds the positions, as long as a sequence, to every sequence of `x`.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn place(&self, x: Span, positions: Span) -> Result<Operation> {
        let each = positions.len();
        let sequences = x.len() / each.max(1);
        let call = self.call("place").other(x, sequences * each, Element::F32, true);
        let call = call.other(positions, each, Element::F32, false).int(sequences).int(each);
        call.launch_plane([each.div_ceil(256), sequences.min(64)], 0)
    }

    /// The sum of `dx` over the sequences.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn place_backward(&self, dx: Span, dpositions: Span) -> Result<Operation> {
        let each = dpositions.len();
        let sequences = dx.len() / each.max(1);
        let call = self.call("place_backward").other(dx, sequences * each, Element::F32, false);
        let call = call.other(dpositions, each, Element::F32, true).int(sequences).int(each);
        call.launch(each.div_ceil(256))
    }

    /// `y = gelu(x)`.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn gelu(&self, x: Span, y: Span) -> Result<Operation> {
        let count = x.len();
        let call = self.call("gelu").read_stored(x, count, 16).write_stored(Some(y), count, 16).int(count);
        call.launch(self.blocks_of_16_bytes(count))
    }

    /// `dx = dy gelu'(x)`; `dx` may be `x`.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn gelu_backward(&self, dy: Span, x: Span, dx: Span) -> Result<Operation> {
        let count = x.len();
        let call = self.call("gelu_backward").read_stored(dy, count, 16).read_stored(x, count, 16);
        call.write_stored(Some(dx), count, 16).int(count).launch(self.blocks_of_16_bytes(count))
    }

    fn blocks_of_16_bytes(&self, count: usize) -> usize {
        count.div_ceil(16 / self.source.storage.element().bytes()).div_ceil(256)
    }

    /// The sums over the rows of `x` (rows, width), into `out` (width), by way of `partials`, which has room for at least
    /// one row of them. Width is a multiple of 4.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn column_sums(&self, x: Span, partials: Span, out: Span) -> Result<[Operation; 2]> {
        let width = out.len();
        let rows = x.len() / width.max(1);
        let per_block = rows.div_ceil((partials.len() / width.max(1)).clamp(1, 512)).max(1);
        let chunks = rows.div_ceil(per_block);
        let kernel = match (x.element(), self.source.storage) {
            (Element::F32, Storage::Bf16) => "column_sums_f32",
            _ => "column_sums",
        };
        let mut call = self.call(kernel);
        let element = if kernel == "column_sums" { self.source.storage.element() } else { Element::F32 };
        let span = call.check(Some(x), rows * width, element, 4 * element.bytes());
        call.arguments.push(Argument::Read(span));
        if !width.is_multiple_of(4) {
            call.problem.get_or_insert(format!("{width} columns aren't a multiple of 4"));
        }
        let call = call.other(partials, chunks * width, Element::F32, true);
        let sums = call.int(rows).int(width).int(per_block).launch_plane([width.div_ceil(128), chunks], 0)?;
        let call = self.call("column_totals").other(partials, chunks * width, Element::F32, false);
        let call = call.other(out, width, Element::F32, true).int(chunks).int(width);
        Ok([sums, call.launch(width.div_ceil(32))?])
    }

    /// The gradients' norm, whether it is finite, and how far this update moves: `partials` has a float for each of its
    /// blocks; `settings` and `decision` hold what [`SETTINGS`] and [`DECISION`] say.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn decide(
        &self,
        gradients: Span,
        partials: Span,
        settings: Span,
        decision: Span,
    ) -> Result<[Operation; 2]> {
        let blocks = partials.len();
        let call = self.call("square_sums").other(gradients, gradients.len(), Element::F32, false);
        let sums = call.other(partials, blocks, Element::F32, true).int(gradients.len()).launch(blocks)?;
        let call = self.call("decide").other(partials, blocks, Element::F32, false);
        let call = call.other(settings, SETTINGS, Element::F64, false);
        Ok([sums, call.other(decision, DECISION, Element::F32, true).int(blocks).launch(1)?])
    }

    /// Moves the parameters as decided.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn adam(&self, places: &Adam, settings: Span, decision: Span) -> Result<Operation> {
        let count = places.parameters.len();
        let call = self.call("adam").other(places.parameters, count, Element::F32, true);
        let call = call.other(places.gradients, count, Element::F32, false);
        let call = call.other(places.first, count, Element::F32, true);
        let call = call.other(places.second, count, Element::F32, true);
        let call = call.write_stored(places.low, count, self.source.storage.element().bytes());
        let call = call.other(settings, SETTINGS, Element::F64, false);
        let call = call.other(decision, DECISION, Element::F32, false).int(count);
        call.launch(count.div_ceil(256))
    }

    /// Floats as stored.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn narrow(&self, from: Span, to: Span) -> Result<Operation> {
        let count = from.len();
        let call = self.call("narrow").other(from, count, Element::F32, false);
        let call = call.write_stored(Some(to), count, self.source.storage.element().bytes()).int(count);
        call.launch(count.div_ceil(256))
    }

    /// Causal attention over qkv (sequences, tokens, 3 width), into `out` (sequences, tokens, width); `log_sums`
    /// (sequences, heads, tokens) is for the backward pass. By the tensor cores, floats are cut to tf32.
    ///
    /// # Errors
    /// If a place doesn't fit, or the head's width isn't a multiple of 4, or of 16 for the tensor cores.
    pub fn attention(
        &self,
        by: Cores,
        qkv: Span,
        out: Span,
        log_sums: Span,
        tokens: usize,
    ) -> Result<Operation> {
        let kernel = by.kernel("attention", "attention_mma");
        let Heads { heads, sequences, scale } = self.heads(kernel, by, out, tokens)?;
        let all = sequences * tokens * self.source.width;
        let [load, store] = by.alignments(self.source.storage);
        let call = self.call(kernel).read_stored(qkv, 3 * all, load).write_stored(Some(out), all, store);
        let call = call.other(log_sums, sequences * heads * tokens, Element::F32, true);
        let call = call.int(tokens).int(heads).float(scale);
        let shared = self.attention_bytes(by, tokens);
        call.launch_plane([sequences * heads, 1], shared)
    }

    /// The derivative by qkv, of `dout` by the output; `dqkv` may be `qkv`.
    ///
    /// # Errors
    /// If a place doesn't fit, or the head's width isn't a multiple of 4.
    pub fn attention_backward(
        &self,
        by: Cores,
        [qkv, out, dout]: [Span; 3],
        log_sums: Span,
        dqkv: Span,
        tokens: usize,
    ) -> Result<Operation> {
        let kernel = by.kernel("attention_backward", "attention_mma_backward");
        let Heads { heads, sequences, scale } = self.heads(kernel, by, out, tokens)?;
        let all = sequences * tokens * self.source.width;
        let [load, store] = by.alignments(self.source.storage);
        let call = self.call(kernel).read_stored(qkv, 3 * all, load).read_stored(out, all, load);
        let call = call.read_stored(dout, all, load);
        let call = call.other(log_sums, sequences * heads * tokens, Element::F32, false);
        let call = call.write_stored(Some(dqkv), 3 * all, store).int(tokens).int(heads).float(scale);
        let shared = self.attention_backward_bytes(by, tokens);
        call.launch_plane([sequences * heads, 1], shared)
    }

    fn heads(&self, kernel: &'static str, by: Cores, out: Span, tokens: usize) -> Result<Heads> {
        let Source { width, head, .. } = self.source;
        let problem = if head == 0 || !head.is_multiple_of(by.kernel_step()) || !width.is_multiple_of(head) {
            format!("heads of {head} in rows of {width}")
        } else if tokens == 0 || !out.len().is_multiple_of(tokens * width) {
            format!("{} values aren't sequences of {tokens} tokens", out.len())
        } else {
            let (heads, sequences) = (width / head, out.len() / (tokens * width));
            return Ok(Heads { heads, sequences, scale: 1.0 / (head as f32).sqrt() });
        };
        Err(Error::Operation { operation: kernel.to_owned(), problem })
    }
}

/// The numbers of a diagonal state space: decay, gain and read (states, width), skip (width).
#[derive(Clone, Copy, Debug)]
pub struct StateSpace {
    /// What is left of a state after a token.
    pub decay: Span,
    /// How much of the input a state takes in.
    pub gain: Span,
    /// How much of a state the output has.
    pub read: Span,
    /// How much of the input the output has beside the states.
    pub skip: Span,
}

/// What a scan goes over.
struct Scanned {
    sequences: usize,
    tokens: usize,
    width: usize,
    states: usize,
}

impl Builder {
    fn state_space(self, space: &StateSpace, of: &Scanned) -> Self {
        let all = of.states * of.width;
        let call =
            self.other(space.decay, all, Element::F32, false).other(space.gain, all, Element::F32, false);
        call.other(space.read, all, Element::F32, false).other(space.skip, of.width, Element::F32, false)
    }

    fn scanned(self, of: &Scanned) -> Result<Operation> {
        let blocks = (of.sequences * of.width).div_ceil(constant("SCAN_THREADS") as usize);
        self.int(of.sequences).int(of.tokens).int(of.width).int(of.states).launch(blocks)
    }
}

impl Calls {
    /// The scan of a state space over x (sequences, tokens, width).
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn scan(&self, space: &StateSpace, x: Span, y: Span, tokens: usize) -> Result<Operation> {
        let of = self.scanned(space, x, tokens)?;
        let one = self.source.storage.element().bytes();
        let call = self.call("scan").read_stored(x, x.len(), one).state_space(space, &of);
        call.write_stored(Some(y), x.len(), one).scanned(&of)
    }

    /// The derivative by x, of dy by y: `kept` is room for 8 floats for each of x, and `partials` (sequences, 3 states + 1,
    /// width) gets what each sequence adds to the derivatives by decay, gain, read and skip.
    ///
    /// # Errors
    /// If a place doesn't fit.
    pub fn scan_backward(
        &self,
        space: &StateSpace,
        [x, dy]: [Span; 2],
        dx: Span,
        kept: Span,
        partials: Span,
        tokens: usize,
    ) -> Result<Operation> {
        let of = self.scanned(space, x, tokens)?;
        let (one, count) = (self.source.storage.element().bytes(), x.len());
        let call = self.call("scan_backward").read_stored(x, count, one).read_stored(dy, count, one);
        let call = call.state_space(space, &of).write_stored(Some(dx), count, one);
        let call = call.other(kept, count * constant("SCAN_STATES") as usize, Element::F32, true);
        let sums = of.sequences * (3 * of.states + 1) * of.width;
        call.other(partials, sums, Element::F32, true).scanned(&of)
    }

    fn scanned(&self, space: &StateSpace, x: Span, tokens: usize) -> Result<Scanned> {
        let width = space.skip.len();
        if width == 0 || tokens == 0 || !x.len().is_multiple_of(tokens * width) || space.decay.len() < width {
            let problem =
                format!("{} values aren't sequences of {tokens} tokens of {width} channels", x.len());
            return Err(Error::Operation { operation: "scan".to_owned(), problem });
        }
        let (sequences, states) = (x.len() / (tokens * width), space.decay.len() / width);
        Ok(Scanned { sequences, tokens, width, states })
    }
}

/// What attention's sums are done by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// Floats throughout.
    Plain,
    /// The tensor cores: bf16, or floats cut to tf32.
    Tensor,
}

impl Cores {
    const fn kernel(self, plain: &'static str, tensor: &'static str) -> &'static str {
        match self {
            Self::Plain => plain,
            Self::Tensor => tensor,
        }
    }

    /// What a head's width is a multiple of.
    const fn kernel_step(self) -> usize {
        match self {
            Self::Plain => 4,
            Self::Tensor => 16,
        }
    }

    /// Bytes loaded, and stored, at once.
    const fn alignments(self, storage: Storage) -> [usize; 2] {
        let one = storage.element().bytes();
        match self {
            Self::Plain => [4 * one, one],
            Self::Tensor => [16, 2 * one],
        }
    }
}

impl Calls {
    /// The bytes of shared memory that a block of attention's needs.
    #[must_use]
    pub fn attention_bytes(&self, by: Cores, tokens: usize) -> usize {
        let (head, rows) = (self.source.head, tokens.next_multiple_of(16));
        match (by, self.source.storage) {
            (Cores::Plain, _) => {
                let (warps, group) = (constant("ATTENTION_WARPS") as usize, constant("GROUP") as usize);
                4 * (3 * tokens * (head + 4) + warps * tokens * group)
            }
            (Cores::Tensor, Storage::F32) => 4 * 3 * rows * (head + 4),
            (Cores::Tensor, Storage::Bf16) => 2 * (2 * rows * (head + 8) + head * (rows + 8)),
        }
    }

    /// The same of its backward pass.
    #[must_use]
    pub fn attention_backward_bytes(&self, by: Cores, tokens: usize) -> usize {
        let (head, rows) = (self.source.head, tokens.next_multiple_of(16));
        match (by, self.source.storage) {
            (Cores::Plain, _) => {
                let (warps, group) = (constant("ATTENTION_WARPS") as usize, constant("GROUP") as usize);
                4 * (4 * tokens * (head + 4) + warps * tokens * 2 * group + 2 * tokens)
            }
            (Cores::Tensor, Storage::F32) => 4 * 4 * rows * (head + 4) + 8 * rows,
            (Cores::Tensor, Storage::Bf16) => 2 * (4 * rows * (head + 8) + 3 * head * (rows + 8)) + 8 * rows,
        }
    }
}

struct Heads {
    heads: usize,
    sequences: usize,
    scale: f32,
}

impl Launch {
    /// The kernel's name.
    #[must_use]
    pub const fn kernel(&self) -> &'static str {
        self.kernel
    }

    /// What the kernel's declaration says against these arguments, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        use crate::source::Kind;
        let signature = &SIGNATURES[self.kernel];
        let kinds: Vec<Kind> = self
            .arguments
            .iter()
            .map(|argument| match argument {
                Argument::Read(_) => Kind::Read,
                Argument::Write(_) => Kind::Write,
                Argument::Int(_) => Kind::Int,
                Argument::Float(_) => Kind::Float,
            })
            .collect();
        (kinds != signature.takes).then(|| format!("takes {:?}, was given {kinds:?}", signature.takes))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Layout;

    const SOURCE: Source = Source { width: 64, head: 16, storage: Storage::Bf16 };

    /// Every call once, for 3 sequences of 5 tokens.
    fn every_call() -> Vec<Operation> {
        let calls = Calls { source: SOURCE };
        let (rows, tokens, width) = (15, 5, 64);
        let mut layout = Layout::default();
        let mut floats = |len: usize| layout.floats(len);
        let [a, b, c, d, e] = [0; 5].map(|_| floats(rows * width));
        let (line, one, partials) = (floats(width), floats(1), floats(10 * width));
        let (points, targets, logs) = (floats(9), floats(9), floats(3 * 4 * 5));
        let (two, positions) = (floats(2), floats(tokens * width));
        let mut stored = |len: usize| layout.place(Element::Bf16, len);
        let (low, qkv, wide) = (stored(rows * width), stored(3 * rows * width), stored(4 * rows * width));
        let settings = layout.place(Element::F64, SETTINGS);
        let decision = layout.floats(DECISION);
        let [scan_kept, scan_sums] = [8 * rows * width, 3 * 4 * width].map(|len| layout.floats(len));
        let scan_of = |line: Span| StateSpace { decay: line, gain: line, read: line, skip: line };
        let ending = Ending { weight: line, bias: line, read_weight: line, read_bias: one };
        let next = Next { input: b, x: c, weight: line, bias: line, normed: low };
        let after = After { dn: a, x: b, weight: line, residual: c, dinput: d, fresh: true };
        let before = Before { y: a, ending, errors: Some((points, targets, 0.1)), dy: e, low: Some(low) };
        let lines = [Some(line), Some(line)];
        let update = Adam { parameters: a, gradients: b, first: c, second: d, low: Some(low) };
        let mut all = vec![
            calls.add_norm(a, Some(b), lines, Some(c), low),
            calls.norm_backward(a, b, line, Some(c), d, Some(low), partials, false),
            calls.enter(
                rows,
                &Enter {
                    tokens,
                    kept_from: 2,
                    y: Some(a),
                    ending,
                    predictions: Some(points),
                    next: Some(next),
                },
            ),
            calls.leave(&Leave {
                rows,
                tokens,
                kept_from: 2,
                after: Some(after),
                before: Some(before),
                partials,
            }),
            calls.squared_loss(points, targets, one, two),
            calls.place(a, positions),
            calls.place_backward(a, positions),
            calls.gelu(wide, wide),
            calls.gelu_backward(wide, wide, wide),
            calls.adam(&update, settings, decision),
            calls.narrow(a, low),
            calls.scan(&scan_of(line), low, low, tokens),
            calls.scan_backward(&scan_of(line), [low, low], low, scan_kept, scan_sums, tokens),
            calls.attention(Cores::Plain, qkv, low, logs, tokens),
            calls.attention_backward(Cores::Plain, [qkv, low, low], logs, qkv, tokens),
            calls.attention(Cores::Tensor, qkv, low, logs, tokens),
            calls.attention_backward(Cores::Tensor, [qkv, low, low], logs, qkv, tokens),
        ];
        for pair in [
            calls.column_sums(low, partials, line),
            calls.column_sums(a, partials, line),
            calls.decide(a, points, settings, decision),
        ] {
            all.extend(pair.unwrap().map(Ok));
        }
        all.into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn every_kernel_is_given_what_its_declaration_takes() {
        let mut called = Vec::new();
        for operation in every_call() {
            let Operation::Launch(launch) = operation else { panic!("not a launch") };
            assert_eq!(launch.problem(), None, "{}", launch.kernel);
            called.push(launch.kernel);
        }
        let missing: Vec<_> = SIGNATURES.keys().filter(|kernel| !called.contains(kernel)).collect();
        assert!(missing.is_empty(), "no call of {missing:?}");
    }

    #[test]
    fn a_place_too_short_of_another_element_or_badly_aligned_is_refused() {
        let calls = Calls { source: SOURCE };
        let mut layout = Layout::default();
        let (x, y) = (layout.floats(640), layout.place(Element::Bf16, 640));
        let line = Some(layout.floats(64));
        let text = |result: Result<Operation>| result.unwrap_err().to_string();
        assert!(calls.add_norm(x, None, [line, line], None, y).is_ok());
        let short = y.part(0, 639);
        assert_eq!(
            text(calls.add_norm(x, None, [line, line], None, short)),
            "add_norm: argument 5 holds 639 Bf16, not 640 Bf16"
        );
        assert_eq!(
            text(calls.add_norm(x, None, [line, line], None, x)),
            "add_norm: argument 5 holds 640 F32, not 640 Bf16"
        );
        let odd = layout.place(Element::Bf16, 641).part(1, 640);
        assert_eq!(
            text(calls.add_norm(x, None, [line, line], None, odd)),
            "add_norm: argument 5 isn't aligned to 4 bytes"
        );
    }
}
