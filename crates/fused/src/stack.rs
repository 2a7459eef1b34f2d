//! What surrounds the blocks, with one step's weights: read-in, positions, final norm, read-out.

use looped_core::fused::{Chunk, FusedBlock, FusedSizes, Kernels, PackedBlock, Precision, Scratch};
use looped_core::{ModelDims, Prompts};
use looped_ops::{PackedMatrix, Start};
use std::ops::Range;

use crate::layout::Layout;

/// A step's weights, shared by all threads.
pub(crate) struct Stack<'a> {
    /// The precision of the blocks' products doesn't reach these: read-in and read-out are f32.
    pub(crate) kernels: Kernels,
    pub(crate) backbone: Box<dyn PackedBlock>,
    pub(crate) width: usize,
    pub(crate) n_dims: usize,
    layout: &'a Layout,
    params: &'a [f32],
    read_in: PackedMatrix,
}

/// What the memory of a loop depends on.
#[derive(Clone, Copy)]
pub(crate) struct Sizes<'a> {
    pub(crate) backbone: &'a dyn FusedSizes,
    pub(crate) width: usize,
    pub(crate) n_dims: usize,
}

impl Sizes<'_> {
    /// Floats of a state.
    pub(crate) fn state_len(self, chunk: Chunk) -> usize {
        chunk.rows() * self.width
    }
}

/// Token 2i is x_i, token 2i + 1 is (y_i, 0, ..., 0): (sequences, tokens, n_dims) of the prompts from `first` on.
pub(crate) fn interleave(prompts: &Prompts, first: usize, chunk: Chunk, tokens: &mut [f32]) {
    let (n_dims, mut rows) = (prompts.n_dims, tokens.chunks_exact_mut(prompts.n_dims));
    for sequence in 0..chunk.sequences {
        let (xs, ys) = prompts.get(first + sequence);
        for (token, row) in (chunk.prefix..chunk.prefix + chunk.tokens).zip(&mut rows) {
            let point = token / 2;
            if token % 2 == 0 {
                row.copy_from_slice(&xs[point * n_dims..(point + 1) * n_dims]);
            } else {
                row.fill(0.0);
                row[0] = ys[point];
            }
        }
    }
}

/// Two parts of the gradients at once.
fn two<'a>(grads: &'a mut [f32], first: &Range<usize>, second: &Range<usize>) -> [&'a mut [f32]; 2] {
    let (early, late) = grads.split_at_mut(second.start);
    [&mut early[first.clone()], &mut late[..second.len()]]
}

impl<'a> Stack<'a> {
    pub(crate) fn new(
        dims: ModelDims,
        layout: &'a Layout,
        params: &'a [f32],
        backbone: &dyn FusedBlock,
        kernels: Kernels,
    ) -> Self {
        let backbone = backbone.pack(&layout.backbone_weights(params), kernels);
        let kernels = kernels.with_precision(Precision::F32);
        let (width, n_dims) = (dims.n_embd, dims.n_dims);
        let weight = &params[layout.read_in_weight.clone()];
        let read_in = PackedMatrix::linear_forward(kernels, weight, width, n_dims);
        Self { kernels, backbone, width, n_dims, layout, params, read_in }
    }

    pub(crate) fn sizes(&self) -> Sizes<'_> {
        Sizes { backbone: self.backbone.sizes(), width: self.width, n_dims: self.n_dims }
    }

    /// Floats of a state.
    pub(crate) fn state_len(&self, chunk: Chunk) -> usize {
        self.sizes().state_len(chunk)
    }

    fn param(&self, range: &Range<usize>) -> &[f32] {
        &self.params[range.clone()]
    }

    /// The read-in of tokens (rows, n_dims): (rows, width).
    pub(crate) fn embed(&self, tokens: &[f32], out: &mut [f32], scratch: &mut Scratch) {
        let bias = self.param(&self.layout.read_in_bias);
        self.kernels.matmul(tokens, &self.read_in, Start::Bias(bias), out, scratch);
    }

    pub(crate) fn embed_backward(
        &self,
        tokens: &[f32],
        dout: &[f32],
        grads: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let [dweight, dbias] = two(grads, &self.layout.read_in_weight, &self.layout.read_in_bias);
        self.kernels.add_weight_gradient(dout, tokens, dout.len() / self.width, dweight, scratch);
        self.kernels.add_column_sums(dout, dbias);
    }

    /// The positions of a chunk's tokens, as part of the parameters and of their gradients.
    fn placed(&self, chunk: Chunk) -> Range<usize> {
        let start = self.layout.positions.start + chunk.prefix * self.width;
        start..start + chunk.tokens * self.width
    }

    /// Adds the positions to every sequence.
    pub(crate) fn place(&self, chunk: Chunk, x: &mut [f32]) {
        let positions = self.param(&self.placed(chunk));
        for sequence in x.chunks_exact_mut(positions.len().max(1)) {
            self.kernels.add(positions, sequence);
        }
    }

    pub(crate) fn place_backward(&self, chunk: Chunk, dx: &[f32], grads: &mut [f32]) {
        let dpositions = &mut grads[self.placed(chunk)];
        for sequence in dx.chunks_exact(dpositions.len().max(1)) {
            self.kernels.add(sequence, dpositions);
        }
    }

    /// The final norm; `statistics` keeps mean and inverse standard deviation, each (rows).
    pub(crate) fn norm(&self, y: &[f32], z: &mut [f32], statistics: &mut Statistics<'_>) {
        let (weight, bias) = (self.param(&self.layout.norm_weight), self.param(&self.layout.norm_bias));
        let rows = y.len() / self.width;
        let (mean, inverse_std) = (&mut statistics.mean[..rows], &mut statistics.inverse_std[..rows]);
        self.kernels.layer_norm(y, weight, bias, z, mean, inverse_std);
    }

    pub(crate) fn norm_backward(
        &self,
        dz: &[f32],
        y: &[f32],
        statistics: &Statistics<'_>,
        dy: &mut [f32],
        grads: &mut [f32],
    ) {
        let weight = self.param(&self.layout.norm_weight);
        let [dweight, dbias] = two(grads, &self.layout.norm_weight, &self.layout.norm_bias);
        let rows = y.len() / self.width;
        let (mean, inverse_std) = (&statistics.mean[..rows], &statistics.inverse_std[..rows]);
        self.kernels.layer_norm_backward(dz, y, mean, inverse_std, weight, dy, false, dweight, dbias);
    }

    /// The blocks' part of the gradients.
    pub(crate) fn backbone_grads<'g>(&self, grads: &'g mut [f32]) -> &'g mut [f32] {
        &mut grads[self.layout.backbone.clone()]
    }

    /// The x tokens' rows of a state, each with where its prediction is in (sequences, `points`).
    fn x_tokens(&self, chunk: Chunk, points: usize) -> impl Iterator<Item = (Range<usize>, usize)> {
        let width = self.width;
        let places =
            (0..chunk.sequences).flat_map(move |i| chunk.points().map(move |point| i * points + point));
        chunk.x_rows().map(move |row| row * width..(row + 1) * width).zip(places)
    }

    /// Writes the predictions at the x tokens; those at others stay.
    ///
    /// # Shapes
    /// `z` (sequences, tokens, width), `predictions` (sequences, points).
    pub(crate) fn read_out(&self, chunk: Chunk, points: usize, z: &[f32], predictions: &mut [f32]) {
        let (weight, bias) =
            (self.param(&self.layout.read_out_weight), self.param(&self.layout.read_out_bias));
        for (row, at) in self.x_tokens(chunk, points) {
            predictions[at] = bias[0] + dot(weight, &z[row]);
        }
    }

    /// Adds to `dz` the gradient with respect to the state, given that with respect to each prediction.
    pub(crate) fn read_out_backward(
        &self,
        chunk: Chunk,
        points: usize,
        z: &[f32],
        slopes: &[f32],
        dz: &mut [f32],
        grads: &mut [f32],
    ) {
        let weight = self.param(&self.layout.read_out_weight);
        let [dweight, dbias] = two(grads, &self.layout.read_out_weight, &self.layout.read_out_bias);
        for (row, at) in self.x_tokens(chunk, points) {
            self.kernels.add_scaled(slopes[at], weight, &mut dz[row.clone()]);
            self.kernels.add_scaled(slopes[at], &z[row], dweight);
            dbias[0] += slopes[at];
        }
    }
}

/// What the final norm keeps of each row.
pub(crate) struct Statistics<'a> {
    pub(crate) mean: &'a mut [f32],
    pub(crate) inverse_std: &'a mut [f32],
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Sixteen sums that don't wait for each other.
    let mut sums = [0.0f32; 16];
    let (mut a, mut b) = (a.chunks_exact(16), b.chunks_exact(16));
    for (a, b) in (&mut a).zip(&mut b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let tail: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + tail
}
