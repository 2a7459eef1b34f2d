//! What fused blocks are made of: layer norms, linear layers, and the room they work in.

use looped_core::fused::{Kernels, Scratch, cut, cut_len};
use looped_ops::PackedMatrix;

/// A layer norm over rows of width D.
pub(crate) struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Mean and inverse standard deviation of each row.
pub(crate) struct Statistics<'a> {
    pub(crate) mean: &'a mut [f32],
    pub(crate) inverse_std: &'a mut [f32],
}

impl Norm {
    /// From weight and bias.
    pub(crate) fn new(weights: &[&[f32]]) -> Self {
        Self { weight: weights[0].to_vec(), bias: weights[1].to_vec() }
    }

    pub(crate) fn forward(&self, kernels: Kernels, x: &[f32], out: &mut [f32], of: &mut Statistics<'_>) {
        kernels.layer_norm(x, &self.weight, &self.bias, out, of.mean, of.inverse_std);
    }

    /// Adds the derivative by `x` to `dx`, and those by weight and bias to theirs.
    pub(crate) fn backward(
        &self,
        kernels: Kernels,
        dy: &[f32],
        x: &[f32],
        of: &Statistics<'_>,
        dx: &mut [f32],
        [dweight, dbias]: [&mut [f32]; 2],
    ) {
        let weight = &self.weight;
        kernels.layer_norm_backward(dy, x, of.mean, of.inverse_std, weight, dx, true, dweight, dbias);
    }
}

/// A linear layer, packed for both passes.
pub(crate) struct Linear {
    pub(crate) forward: PackedMatrix,
    pub(crate) backward: PackedMatrix,
    pub(crate) bias: Vec<f32>,
}

impl Linear {
    /// From weight (out, inputs) and bias (out).
    pub(crate) fn new(kernels: Kernels, weights: &[&[f32]], out: usize, inputs: usize) -> Self {
        Self {
            forward: PackedMatrix::linear_forward(kernels, weights[0], out, inputs),
            backward: PackedMatrix::linear_backward(kernels, weights[0], out, inputs),
            bias: weights[1].to_vec(),
        }
    }

    /// Adds the derivatives by weight and bias.
    pub(crate) fn add_gradients(
        &self,
        kernels: Kernels,
        dy: &[f32],
        x: &[f32],
        [dweight, dbias]: [&mut [f32]; 2],
        scratch: &mut Scratch,
    ) {
        kernels.add_weight_gradient(dy, x, dy.len() / dbias.len(), dweight, scratch);
        kernels.add_column_sums(dy, dbias);
    }
}

/// Scratch space of a block's layers.
pub(crate) struct Room<'a> {
    /// Of the rows last normed.
    pub(crate) statistics: Statistics<'a>,
    /// Normed values, (rows, D).
    pub(crate) normed: &'a mut [f32],
    /// (rows, 4 D)
    pub(crate) wide: &'a mut [f32],
    /// (rows, D)
    pub(crate) narrow: &'a mut [f32],
}

impl<'a> Room<'a> {
    fn lens(rows: usize, width: usize) -> [usize; 5] {
        [rows, rows, rows * width, 4 * rows * width, rows * width]
    }

    /// How many floats of scratch space it takes.
    pub(crate) fn len(rows: usize, width: usize) -> usize {
        cut_len(&Self::lens(rows, width))
    }

    pub(crate) fn new(scratch: &'a mut [f32], rows: usize, width: usize) -> Self {
        let [mean, inverse_std, normed, wide, narrow] = cut(scratch, Self::lens(rows, width));
        Self { statistics: Statistics { mean, inverse_std }, normed, wide, narrow }
    }

    /// The room of the first `rows` rows.
    pub(crate) fn first(&mut self, rows: usize, width: usize) -> Room<'_> {
        let Statistics { mean, inverse_std } = &mut self.statistics;
        Room {
            statistics: Statistics { mean: &mut mean[..rows], inverse_std: &mut inverse_std[..rows] },
            normed: &mut self.normed[..rows * width],
            wide: &mut self.wide[..4 * rows * width],
            narrow: &mut self.narrow[..rows * width],
        }
    }
}

/// A block's gradients, divided into those of its parameters, which lie one after another.
pub(crate) fn split<const N: usize>(grads: &mut [f32], lens: [usize; N]) -> [&mut [f32]; N] {
    let mut rest = grads;
    lens.map(|len| {
        let (own, later) = std::mem::take(&mut rest).split_at_mut(len);
        rest = later;
        own
    })
}
