//! One list of steps, run.

use looped_graph::lower::{Chunk, Kernel, RowMatrix, Start, Step};
use looped_graph::{Heads, NodeId, TraceError};
use looped_ops::{self as ops, AttentionShape, Kernels, PointCode, Scratch};

use crate::hunt::Hunt;
use crate::kernels::{self, dot};
use crate::layout::two;
use crate::memory::Memory;
use crate::plans::Plans;
use crate::turns::Turns;
use crate::weights::Weights;

/// A thread at work on a chunk.
pub(crate) struct Run<'a> {
    pub(crate) weights: &'a Weights<'a>,
    pub(crate) plans: &'a Plans,
    pub(crate) memory: &'a mut Memory,
    /// The gradient with respect to each parameter and each result of operations on parameters, in the layout's order; empty where nothing is trained.
    pub(crate) grads: &'a mut [f32],
    pub(crate) scratch: &'a mut Scratch,
    /// The program's elementwise code, by its numbers.
    pub(crate) codes: &'a [PointCode],
    pub(crate) turns: &'a Turns,
    /// The loop, from 0.
    pub(crate) index: usize,
    /// Whether it goes back.
    pub(crate) backward: bool,
    /// Whether the gradient with respect to the state alone is wanted: that of weights isn't computed.
    pub(crate) state_alone: bool,
    pub(crate) hunt: Hunt,
    /// What keeps it from going on.
    pub(crate) fault: Option<TraceError>,
}

impl<'a> Run<'a> {
    /// Runs the steps on the tokens of `chunk`, in the slot of one loop.
    pub(crate) fn list(&mut self, steps: &[Step], chunk: &'a Chunk, slot: usize) {
        if self.hunt.dead_is_nan {
            self.memory.spoil_scratch();
        }
        for step in steps {
            if self.fault.is_some() {
                return;
            }
            self.step(step, chunk, slot);
            if self.hunt.finite {
                self.look(step, slot);
            }
        }
    }

    /// Notes that a node can't be computed. The steps after it are left out.
    pub(crate) fn fail(&mut self, node: NodeId, what: &str) {
        let of = self.weights.graph.node(node);
        let what = format!("{}: {what}", of.name());
        self.fault.get_or_insert(TraceError { scope: of.scope.to_string(), what, at: of.at });
    }

    /// Looks for a number that isn't finite in what a step has written.
    fn look(&mut self, step: &Step, slot: usize) {
        for place in step.kernel.writes(step.places.len()) {
            let values = self.memory.one(step.places[place], slot);
            let Some(first) = values.iter().find(|value| !value.is_finite()).copied() else { continue };
            let (count, len) = (values.iter().filter(|value| !value.is_finite()).count(), values.len());
            let way = if self.backward { "backward, " } else { "" };
            let index = self.index + 1;
            return self.fail(
                step.node,
                &format!(
                    "{way}in loop {index}, {count} of {len} numbers aren't finite, the first is {first}"
                ),
            );
        }
    }

    fn products(&self, exact: bool) -> Kernels {
        if exact { self.weights.exact } else { self.weights.kernels }
    }

    fn step(&mut self, step: &Step, chunk: &'a Chunk, slot: usize) {
        let (weights, exact_kernels, places) = (self.weights, self.weights.exact, &step.places[..]);
        match step.kernel {
            Kernel::Product { weight, transposed, exact, start } => {
                let (k, matrix) = (self.products(exact), weights.matrix(weight, transposed));
                if let Start::Residual(bias) = start {
                    let [a, residual, out] = self.memory.at([places[0], places[1], places[2]], slot);
                    let start = ops::Start::BiasResidual(weights.param(bias), residual);
                    k.matmul(a, matrix, start, out, self.scratch);
                } else {
                    let [a, out] = self.memory.at([places[0], places[1]], slot);
                    let start = match start {
                        Start::Zero | Start::Residual(_) => ops::Start::Zero,
                        Start::Output => ops::Start::Output,
                        Start::Bias(bias) => ops::Start::Bias(weights.param(bias)),
                    };
                    k.matmul(a, matrix, start, out, self.scratch);
                }
            }
            Kernel::RowProduct { matrix, transposed, add } => {
                let of = weights.row_matrix(matrix, self.index, transposed);
                let [a, out] = self.memory.at([places[0], places[1]], slot);
                let start = if add { ops::Start::Output } else { ops::Start::Zero };
                weights.kernels.matmul(a, of, start, out, self.scratch);
            }
            Kernel::RowGradient(RowMatrix { row, out, .. }) => {
                let [dy, x] = self.memory.at([places[0], places[1]], slot);
                let dmatrix = &mut self.grads[weights.row(row, self.index)];
                weights.kernels.add_weight_gradient(dy, x, dy.len() / out, dmatrix, self.scratch);
            }
            Kernel::ProductGelu { weight, bias, exact } => {
                let (k, matrix) = (self.products(exact), weights.matrix(weight, false));
                let [a, pre, out] = self.memory.at([places[0], places[1], places[2]], slot);
                k.matmul_gelu(a, matrix, weights.param(bias), pre, out, self.scratch);
            }
            Kernel::ProductGeluOnly { weight, bias, exact } => {
                let (k, matrix) = (self.products(exact), weights.matrix(weight, false));
                let [a, out] = self.memory.at([places[0], places[1]], slot);
                k.matmul_gelu_only(a, matrix, weights.param(bias), out, self.scratch);
            }
            Kernel::ProductGeluBack { weight, exact } => {
                let (k, matrix) = (self.products(exact), weights.matrix(weight, true));
                let [dy, pre, out] = self.memory.at([places[0], places[1], places[2]], slot);
                k.matmul_gelu_backward(dy, matrix, pre, out, self.scratch);
            }
            Kernel::WeightGradient { .. } if self.state_alone => {}
            Kernel::WeightGradient { weight, out, bias, exact } => {
                let k = self.products(exact);
                let [dy, x] = self.memory.at([places[0], places[1]], slot);
                let dweight = &mut self.grads[weights.layout.param(weight)];
                k.add_weight_gradient(dy, x, dy.len() / out, dweight, self.scratch);
                if let Some(bias) = bias {
                    k.add_column_sums(dy, &mut self.grads[weights.layout.param(bias)]);
                }
            }
            Kernel::Dot { weight, bias, picks } => {
                let [x, out] = self.memory.at([places[0], places[1]], slot);
                let (weight, bias) = (weights.param(weight), bias.map_or(0.0, |bias| weights.param(bias)[0]));
                for (row, out) in kernels::rows(chunk, picks).zip(out) {
                    *out = bias + dot(weight, &x[row * weight.len()..][..weight.len()]);
                }
            }
            Kernel::DotBack { weight, bias, picks } => {
                let [dy, x, dx] = self.memory.at([places[0], places[1], places[2]], slot);
                let of = weights.layout.param(weight);
                let weight = weights.param(weight);
                for (row, slope) in kernels::rows(chunk, picks).zip(&*dy) {
                    let row = row * weight.len()..(row + 1) * weight.len();
                    exact_kernels.add_scaled(*slope, weight, &mut dx[row.clone()]);
                    exact_kernels.add_scaled(*slope, &x[row], &mut self.grads[of.clone()]);
                    if let Some(bias) = bias {
                        self.grads[weights.layout.param(bias)][0] += slope;
                    }
                }
            }
            Kernel::Norm(norm) => {
                let [x, out, mean, inverse] =
                    self.memory.at([places[0], places[1], places[2], places[3]], slot);
                // Groups of columns are rows of their own.
                let weight = weights.param(norm.weight);
                match norm.bias {
                    Some(bias) => {
                        exact_kernels.layer_norm(x, weight, weights.param(bias), out, mean, inverse)
                    }
                    None => exact_kernels.rms_norm(x, weight, out, mean, inverse),
                }
            }
            Kernel::NormBack { norm, add } => {
                let [dy, x, mean, inverse, dx] =
                    self.memory.at([places[0], places[1], places[2], places[3], places[4]], slot);
                let weight = weights.param(norm.weight);
                let of_bias = norm.bias.map_or(0..0, |bias| weights.layout.param(bias));
                let [dweight, dbias] = two(self.grads, weights.layout.param(norm.weight), of_bias);
                if norm.bias.is_some() {
                    exact_kernels.layer_norm_backward(dy, x, mean, inverse, weight, dx, add, dweight, dbias);
                } else {
                    exact_kernels.rms_norm_backward(dy, x, mean, inverse, weight, dx, add, dweight);
                }
            }
            Kernel::Attention { heads, prefix } => {
                let shape = attention_shape(chunk, heads, places[2].len as usize, prefix);
                let [qkv, before, out, kept] =
                    self.memory.at([places[0], places[1], places[2], places[3]], slot);
                for i in 0..chunk.sequences {
                    let [qkv, before, out, kept] =
                        kernels::each(i, chunk.sequences, [qkv, before, out, kept]);
                    exact_kernels.attention(shape, qkv, before, out, kept, self.scratch);
                }
            }
            Kernel::AttentionBack { heads, prefix } => {
                let shape = attention_shape(chunk, heads, places[3].len as usize, prefix);
                let all = [places[0], places[1], places[2], places[3], places[4], places[5]];
                let [qkv, before, kept, dout, dqkv, dbefore] = self.memory.at(all, slot);
                for i in 0..chunk.sequences {
                    let [qkv, before, kept, dout, dqkv, dbefore] =
                        kernels::each(i, chunk.sequences, [qkv, before, kept, dout, dqkv, dbefore]);
                    exact_kernels.attention_backward(
                        shape,
                        qkv,
                        before,
                        kept,
                        dout,
                        dqkv,
                        dbefore,
                        self.scratch,
                    );
                }
            }
            Kernel::Scan(of) => {
                let all = [places[0], places[1], places[2], places[3], places[4]];
                kernels::scan(weights, of, chunk, self.memory.at(all, slot));
            }
            Kernel::ScanBack(of) => {
                let all = [places[0], places[1], places[2], places[3], places[4], places[5]];
                kernels::scan_back(weights, of, chunk, self.memory.at(all, slot), self.grads);
            }
            Kernel::Recur(ref of) => self.recur(of, places, chunk, slot),
            Kernel::RecurBack(ref of) => self.recur_back(of, places, chunk, slot),
            Kernel::Point(ref of) => self.point(of, places, slot),
            Kernel::TakeColumns { start, of, add } => {
                let [x, out] = self.memory.at([places[0], places[1]], slot);
                kernels::take_columns(of, start, add, x, out);
            }
            Kernel::PutColumns { start, of, add } => {
                let [x, out] = self.memory.at([places[0], places[1]], slot);
                kernels::put_columns(of, start, add, x, out);
            }
            Kernel::Shift { by } => {
                let all = self.memory.at([places[0], places[1], places[2], places[3]], slot);
                kernels::shift(exact_kernels, chunk, by, all);
            }
            Kernel::ShiftBack { by, add } => {
                let all = self.memory.at([places[0], places[1], places[2], places[3]], slot);
                kernels::shift_back(exact_kernels, chunk, by, add, all);
            }
            Kernel::Lookup(table) => {
                let [numbers, out] = self.memory.at([places[0], places[1]], slot);
                kernels::lookup(weights.param(table), numbers, out);
            }
            Kernel::LookupBack(table) => {
                let [numbers, d] = self.memory.at([places[0], places[1]], slot);
                kernels::lookup_back(&mut self.grads[weights.layout.param(table)], numbers, d);
            }
            Kernel::Positions(table) => {
                let [x, out] = self.memory.at([places[0], places[1]], slot);
                out.copy_from_slice(x);
                let rows = placed(chunk, out.len(), weights.param(table));
                for sequence in out.chunks_exact_mut(rows.len().max(1)) {
                    exact_kernels.add(rows, sequence);
                }
            }
            Kernel::Rotary { rotary, back } => {
                let [x, out] = self.memory.at([places[0], places[1]], slot);
                self.turns.turn(rotary, back, chunk, x, out);
            }
            Kernel::PositionsBack(table) => {
                let [d] = self.memory.at([places[0]], slot);
                let width = d.len() / chunk.rows().max(1);
                let (first, len) = (chunk.first * width, chunk.tokens * width);
                let dtable = &mut self.grads[weights.layout.param(table)][first..first + len];
                for sequence in d.chunks_exact(len.max(1)) {
                    exact_kernels.add(sequence, dtable);
                }
            }
            Kernel::Island(ref of) => self.island(of, places, chunk, slot),
            Kernel::IslandBack(ref of) => self.island_back(of, places, chunk, slot),
            Kernel::Add => {
                let [x, out] = self.memory.at([places[0], places[1]], slot);
                exact_kernels.add(x, out);
            }
            Kernel::Copy => {
                let [x, out] = self.memory.at([places[0], places[1]], slot);
                out.copy_from_slice(x);
            }
            Kernel::Fill(number) => self.memory.one(places[0], slot).fill(number),
            Kernel::Keep { from, to, lost } => {
                let [x, out] = self.memory.at([places[0], places[1]], slot);
                kernels::keep(chunk, from, to, lost, x, out);
            }
            Kernel::Lose { from, to } => kernels::lose(chunk, from, to, self.memory.one(places[0], slot)),
            Kernel::Gather => {
                let [x, out] = self.memory.at([places[0], places[1]], slot);
                kernels::gather(chunk, x, out);
            }
            Kernel::Scatter { add } => {
                let [x, out] = self.memory.at([places[0], places[1]], slot);
                kernels::scatter(chunk, add, x, out);
            }
        }
    }
}

/// The rows of a table at a chunk's tokens.
fn placed<'t>(chunk: &Chunk, len: usize, table: &'t [f32]) -> &'t [f32] {
    let width = len / chunk.rows().max(1);
    &table[chunk.first * width..][..chunk.tokens * width]
}

fn attention_shape(chunk: &Chunk, heads: Heads, out: usize, prefix: usize) -> AttentionShape {
    let width = out / chunk.rows().max(1);
    let Heads { heads, causal } = heads;
    AttentionShape { tokens: chunk.tokens, causal, prefix, heads, head_size: width / heads }
}
