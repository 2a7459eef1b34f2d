//! The operations of one training step, and the places of the arena that they work in.

use looped_gpu::calls::{
    Adam, After, Before, Calls, Cores, DECISION, Ending, Enter, Leave, Next, NormBackward, SETTINGS, Seen,
};
use looped_gpu::{Arena, Element, Form, Layout, Math, Operation, Product, Result, Source, Span, Storage};

use crate::model::{Shape, Values};

/// Blocks of threads that share the rows of a norm's backward pass.
const NORM_BLOCKS: usize = 264;
/// Rows of partial sums.
const CHUNKS: usize = 256;

/// What of the step is done how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ways {
    pub(crate) math: Math,
    /// What attention is done by.
    pub(crate) attention: Cores,
}

/// A linear layer's weight, as products take it, and its bias, in the element of its output.
#[derive(Clone, Copy)]
struct Linear {
    weight: Span,
    bias: Span,
    outputs: usize,
    inputs: usize,
}

/// What one loop of the window keeps; free loops use the first slot's.
#[derive(Clone, Copy)]
struct Slot {
    x: Span,
    normed_1: Span,
    qkv: Span,
    mixed: Span,
    log_sums: Span,
    middle: Span,
    normed_2: Span,
    hidden: Span,
    active: Span,
    y: Span,
    /// Derivatives by y and by the middle: as floats, and as products take them.
    dy: Span,
    dmiddle: Span,
    low_dy: Span,
    low_dmiddle: Span,
}

/// A step: its operations and where its values are.
pub(crate) struct Step {
    pub(crate) shape: Shape,
    pub(crate) operations: Vec<Operation>,
    /// To be run once before the first step.
    pub(crate) prepare: Vec<Operation>,
    pub(crate) bytes: usize,
    pub(crate) loss: Span,
    pub(crate) predictions: Span,
    pub(crate) gradients: Span,
    pub(crate) parameters: Span,
    moments: [Span; 2],
    tokens: Span,
    targets: Span,
    settings: Span,
    pub(crate) decision: Span,
}

/// The parts of a flat buffer, one for each parameter: each starts at a multiple of 64 elements.
fn parts(shape: Shape, flat: Span) -> Vec<Span> {
    let mut start = 0;
    let lens = shape.parameters().into_iter().map(|(_, sides)| sides.iter().product::<usize>());
    lens.map(|len| {
        let part = flat.part(start, len);
        start += len.next_multiple_of(64);
        part
    })
    .collect()
}

fn flat_len(shape: Shape) -> usize {
    let lens = shape.parameters().into_iter().map(|(_, sides)| sides.iter().product::<usize>());
    lens.map(|len| len.next_multiple_of(64)).sum()
}

impl Step {
    pub(crate) fn parts(&self, flat: Span) -> Vec<Span> {
        parts(self.shape, flat)
    }

    #[allow(clippy::too_many_lines, reason = "a bench: one step, told from start to end")]
    pub(crate) fn new(shape: Shape, ways: Ways) -> Result<Self> {
        let Ways { math, attention } = ways;
        let Shape { width, heads, dims, batch, tokens, loops, window, kept_from, .. } = shape;
        let (rows, free) = (shape.rows(), loops - window);
        let storage = if math == Math::Bf16 { Storage::Bf16 } else { Storage::F32 };
        let source = Source { width, head: width / heads, storage };
        let calls = Calls { source };
        let (stored, narrow) = (storage.element(), storage == Storage::Bf16);
        let mut layout = Layout::default();

        let flat = flat_len(shape);
        let [parameters, gradients, first, second] = [0; 4].map(|_| layout.floats(flat));
        let low = if narrow { layout.place(stored, flat) } else { parameters };
        // What stays from step to step lies first: in the same places for every number of tokens and loops.
        let settings = layout.place(Element::F64, SETTINGS);
        let decision = layout.floats(DECISION);
        let loss = layout.floats(1);
        let prompt_tokens = layout.floats(rows * dims);
        let targets = layout.floats(batch * shape.points());
        let predictions = layout.floats(window * batch * shape.points());

        // What each loop of the window keeps, every kind of it in one piece: the weights' gradients take it whole.
        let all = rows * width;
        let logs = batch * heads * tokens;
        let float = [0; 3].map(|_| layout.floats(window * all));
        let thin = [0; 3].map(|_| layout.place(stored, window * all));
        let [qkv, hidden, active] = [3, 4, 4].map(|n| layout.place(stored, window * n * all));
        let log_sums = layout.floats(window * logs);
        // As floats, derivatives are kept only where products take them so.
        let slots = if narrow { 1 } else { window };
        let slopes = [0; 2].map(|_| layout.floats(slots * all));
        let low_slopes = if narrow { [0; 2].map(|_| layout.place(stored, window * all)) } else { slopes };
        let slot = |index: usize| Slot {
            x: float[0].slot(index, all),
            middle: float[1].slot(index, all),
            y: float[2].slot(index, all),
            normed_1: thin[0].slot(index, all),
            mixed: thin[1].slot(index, all),
            normed_2: thin[2].slot(index, all),
            qkv: qkv.slot(index, 3 * all),
            hidden: hidden.slot(index, 4 * all),
            active: active.slot(index, 4 * all),
            log_sums: log_sums.slot(index, logs),
            dy: slopes[0].slot(index.min(slots - 1), all),
            dmiddle: slopes[1].slot(index.min(slots - 1), all),
            low_dy: low_slopes[0].slot(index, all),
            low_dmiddle: low_slopes[1].slot(index, all),
        };
        let input = layout.floats(all);
        let dinput = layout.floats(all);
        let dn = layout.floats(all);
        let dwide = layout.place(stored, 4 * all);
        let dmixed = layout.place(stored, all);
        let leave_partials = layout.floats((window + 1) * NORM_BLOCKS * 5 * width);
        let norm_partials = layout.floats(window * NORM_BLOCKS * 2 * width);
        let partials = layout.floats(CHUNKS * 5 * width);
        let squares = layout.floats(264);

        let [p, g, l] = [parameters, gradients, low].map(|flat| parts(shape, flat));
        let linear = |weight: usize, narrow_bias: bool| {
            let sides = &shape.parameters()[weight].1;
            let bias = if narrow_bias { l[weight + 1] } else { p[weight + 1] };
            Linear { weight: l[weight], bias, outputs: sides[0], inputs: sides[1] }
        };
        let (c_attn, attn_proj, c_fc, c_proj) =
            (linear(7, true), linear(9, false), linear(11, true), linear(13, false));
        let product = |form, layer: Linear, left, right, out| Product {
            form,
            math,
            rows,
            outputs: layer.outputs,
            inputs: layer.inputs,
            left,
            right,
            bias: None,
            start: None,
            out,
        };
        let forward = |layer: Linear, x: Span, start: Option<Span>, y: Span| {
            let product = product(Form::Forward, layer, x, layer.weight, y);
            Operation::Product(Product { bias: Some(layer.bias), start, ..product })
        };
        let by_input = |layer: Linear, dy: Span, dx: Span| {
            Operation::Product(product(Form::Input, layer, dy, layer.weight, dx))
        };
        let ending = Ending { weight: p[2], bias: p[3], read_weight: p[4], read_bias: p[18] };
        let counted = batch * shape.points();
        let low_if = |span: Span| narrow.then_some(span);

        let seen = Seen::causal(tokens);
        let mut to = Vec::new();
        let exact = |form, left, right, bias, out| {
            let (outputs, inputs) = (width, dims);
            let start = None;
            Operation::Product(Product {
                form,
                math: Math::F32,
                rows,
                outputs,
                inputs,
                left,
                right,
                bias,
                start,
                out,
            })
        };
        to.push(exact(Form::Forward, prompt_tokens, p[16], Some(p[17]), input));
        to.push(calls.place(input, p[15].part(0, tokens * width))?);
        for index in 0..loops {
            let own = slot(index.saturating_sub(free));
            let before = (index > 0).then(|| slot((index - 1).saturating_sub(free)).y);
            let read = (index > free).then(|| predictions.slot(index - 1 - free, counted));
            let next = Next { input, x: own.x, weight: p[0], bias: p[1], normed: own.normed_1 };
            let enter = Enter { tokens, kept_from, y: before, ending, predictions: read, next: Some(next) };
            to.push(calls.enter(rows, &enter)?);
            to.push(forward(c_attn, own.normed_1, None, own.qkv));
            to.push(calls.attention(attention, seen, [own.qkv, own.mixed], None, own.log_sums)?);
            to.push(forward(attn_proj, own.mixed, Some(own.x), own.middle));
            to.push(calls.add_norm(own.middle, None, [Some(p[5]), Some(p[6])], None, own.normed_2)?);
            to.push(forward(c_fc, own.normed_2, None, own.hidden));
            to.push(calls.gelu(own.hidden, own.active)?);
            to.push(forward(c_proj, own.active, Some(own.middle), own.y));
        }
        let read = Some(predictions.slot(window - 1, counted));
        let last =
            Enter { tokens, kept_from, y: Some(slot(window - 1).y), ending, predictions: read, next: None };
        to.push(calls.enter(rows, &last)?);
        to.push(calls.squared_loss(predictions, targets, loss, g[18])?);

        let share = 2.0 / (window * counted) as f32;
        let after = |index: usize| After {
            dn,
            x: slot(index).x,
            weight: p[0],
            residual: slot(index).dmiddle,
            dinput,
            fresh: index + 1 == window,
        };
        for index in (0..window).rev() {
            let own = slot(index);
            let errors = Some((predictions.slot(index, counted), targets, share));
            let before = Before { y: own.y, ending, errors, dy: own.dy, low: low_if(own.low_dy) };
            let after = (index + 1 < window).then(|| after(index + 1));
            let sums = leave_partials.slot(index, NORM_BLOCKS * 5 * width);
            to.push(calls.leave(&Leave {
                rows,
                tokens,
                kept_from,
                after,
                before: Some(before),
                partials: sums,
            })?);
            to.push(by_input(c_proj, own.low_dy, dwide));
            to.push(calls.gelu_backward(dwide, own.hidden, own.hidden)?);
            to.push(by_input(c_fc, own.hidden, dn));
            let sums = norm_partials.slot(index, NORM_BLOCKS * 2 * width);
            let copy = low_if(own.low_dmiddle);
            to.push(calls.norm_backward(&NormBackward {
                dy: dn,
                x: own.middle,
                weight: p[5],
                residual: Some(own.dy),
                dx: own.dmiddle,
                low: copy,
                total: None,
                partials: sums,
                rms: false,
            })?);
            to.push(by_input(attn_proj, own.low_dmiddle, dmixed));
            to.push(calls.attention_backward(
                attention,
                seen,
                [own.qkv, dmixed],
                Some(own.mixed),
                [None; 2],
                own.log_sums,
                own.qkv,
            )?);
            to.push(by_input(c_attn, own.qkv, dn));
        }
        let sums = leave_partials.slot(window, NORM_BLOCKS * 5 * width);
        to.push(calls.leave(&Leave {
            rows,
            tokens,
            kept_from,
            after: Some(after(0)),
            before: None,
            partials: sums,
        })?);

        // All loops of the window at once.
        for (weight, layer, dy, x) in [
            (7, c_attn, qkv, thin[0]),
            (9, attn_proj, low_slopes[1], thin[1]),
            (11, c_fc, hidden, thin[2]),
            (13, c_proj, low_slopes[0], active),
        ] {
            let one = product(Form::Weight, layer, dy, x, g[weight]);
            to.push(Operation::Product(Product { rows: window * rows, ..one }));
            to.extend(calls.column_sums(dy, partials, g[weight + 1])?);
        }
        let together = |from: usize, lines: usize| {
            let start =
                parts(shape, gradients)[..from].iter().map(|part| part.len().next_multiple_of(64)).sum();
            gradients.part(start, lines * width)
        };
        to.extend(calls.column_sums(leave_partials, partials, together(0, 5))?);
        to.extend(calls.column_sums(norm_partials, partials, together(5, 2))?);
        to.push(exact(Form::Weight, dinput, prompt_tokens, None, g[16]));
        to.extend(calls.column_sums(dinput, partials, g[17])?);
        to.push(calls.place_backward(dinput, g[15].part(0, tokens * width))?);

        to.extend(calls.decide(gradients, squares, settings, decision)?);
        let update = Adam { parameters, gradients, first, second, low: low_if(low) };
        to.push(calls.adam(&update, settings, decision)?);

        let prepare = if narrow { vec![calls.narrow(parameters, low)?] } else { vec![] };
        Ok(Self {
            shape,
            operations: to,
            prepare,
            bytes: layout.bytes(),
            loss,
            predictions,
            gradients,
            parameters,
            moments: [first, second],
            tokens: prompt_tokens,
            targets,
            settings,
            decision,
        })
    }

    /// Puts parameters in place, with Adam's moments at 0. What pads the gradients, or belongs to positions past the last
    /// token, stays 0.
    pub(crate) fn begin(
        &self,
        arena: &Arena,
        parameters: &[Vec<f32>],
        settings: &[f64; SETTINGS],
    ) -> Result<()> {
        let mut flat = vec![0.0; self.parameters.len()];
        let mut start = 0;
        for own in parameters {
            flat[start..start + own.len()].copy_from_slice(own);
            start += own.len().next_multiple_of(64);
        }
        arena.write_floats(self.parameters, &flat)?;
        let zeros = vec![0.0; flat.len()];
        for span in [self.gradients, self.moments[0], self.moments[1]] {
            arena.write_floats(span, &zeros)?;
        }
        arena.write_floats(self.decision, &[0.0; DECISION])?;
        self.set(arena, settings)
    }

    /// Changes what Adam goes by.
    pub(crate) fn set(&self, arena: &Arena, settings: &[f64; SETTINGS]) -> Result<()> {
        arena.write_doubles(self.settings, settings)
    }

    /// Puts a batch in place.
    pub(crate) fn feed(&self, arena: &Arena, tokens: &[f32], targets: &[f32]) -> Result<()> {
        arena.write_floats(self.tokens, tokens)?;
        arena.write_floats(self.targets, targets)
    }

    /// Puts all that a step starts from in place.
    pub(crate) fn fill(&self, arena: &Arena, values: &Values) -> Result<()> {
        self.begin(arena, &values.parameters, &[1e-4, 0.0, 0.9, 0.999, 1e-8, 0.0])?;
        self.feed(arena, &values.tokens, &values.targets)
    }
}
