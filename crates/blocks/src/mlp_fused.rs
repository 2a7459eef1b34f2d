//! The network in the second half of a block, without a graph.

use looped_core::fused::{Kernels, Scratch};
use looped_ops::Start;

use crate::layers_fused::{Linear, Norm, Room, Statistics, split};

/// Rows that pass through the network together, so that their hidden values stay in the cache.
const ROWS: usize = 96;

/// Name and number of elements of each parameter.
pub(crate) fn parameters(width: usize) -> [(&'static str, usize); 6] {
    let square = width * width;
    [
        ("ln_2.weight", width),
        ("ln_2.bias", width),
        ("mlp.c_fc.weight", 4 * square),
        ("mlp.c_fc.bias", 4 * width),
        ("mlp.c_proj.weight", 4 * square),
        ("mlp.c_proj.bias", width),
    ]
}

/// x + c_proj(gelu(c_fc(LN(x)))).
pub(crate) struct Mlp {
    kernels: Kernels,
    width: usize,
    ln_2: Norm,
    c_fc: Linear,
    c_proj: Linear,
}

impl Mlp {
    /// From the weights of [`parameters`].
    pub(crate) fn new(kernels: Kernels, width: usize, weights: &[&[f32]]) -> Self {
        Self {
            kernels,
            width,
            ln_2: Norm::new(&weights[..2]),
            c_fc: Linear::new(kernels, &weights[2..4], 4 * width, width),
            c_proj: Linear::new(kernels, &weights[4..], width, 4 * width),
        }
    }

    /// `hidden` (rows, 4 D), filled with the values before GELU for [`Mlp::backward`]; empty when none follows.
    pub(crate) fn forward(
        &self,
        x: &[f32],
        hidden: &mut [f32],
        out: &mut [f32],
        room: Room<'_>,
        scratch: &mut Scratch,
    ) {
        let k = self.kernels;
        let Room { statistics: Statistics { mean, inverse_std }, normed, wide: active, .. } = room;
        let rows = x.len() / self.width;
        for first in (0..rows).step_by(ROWS) {
            let rows = first..rows.min(first + ROWS);
            let own = self.width * rows.start..self.width * rows.end;
            let (x, normed) = (&x[own.clone()], &mut normed[own.clone()]);
            let active = &mut active[..4 * own.len()];
            let mut of = Statistics { mean: &mut mean[rows.clone()], inverse_std: &mut inverse_std[rows] };
            self.ln_2.forward(k, x, normed, &mut of);
            let (weight, bias) = (&self.c_fc.forward, &self.c_fc.bias);
            if hidden.is_empty() {
                k.matmul_gelu_only(normed, weight, bias, active, scratch);
            } else {
                let hidden = &mut hidden[4 * own.start..4 * own.end];
                k.matmul_gelu(normed, weight, bias, hidden, active, scratch);
            }
            let start = Start::BiasResidual(&self.c_proj.bias, x);
            k.matmul(active, &self.c_proj.forward, start, &mut out[own], scratch);
        }
    }

    /// Replaces `dy` by the derivative by `x`, and adds to the gradients; `hidden` is as the forward pass left it, and
    /// overwritten.
    pub(crate) fn backward(
        &self,
        x: &[f32],
        hidden: &mut [f32],
        dy: &mut [f32],
        grads: &mut [f32],
        room: &mut Room<'_>,
        scratch: &mut Scratch,
    ) {
        let k = self.kernels;
        let Room { statistics, normed, wide, narrow } = room;
        let [dln_w, dln_b, dfc_w, dfc_b, dproj_w, dproj_b] =
            split(grads, parameters(self.width).map(|(_, len)| len));
        k.matmul_gelu_backward(dy, &self.c_proj.backward, hidden, wide, scratch);
        self.c_proj.add_gradients(k, dy, hidden, [dproj_w, dproj_b], scratch);
        self.ln_2.forward(k, x, normed, statistics);
        self.c_fc.add_gradients(k, wide, normed, [dfc_w, dfc_b], scratch);
        k.matmul(wide, &self.c_fc.backward, Start::Zero, narrow, scratch);
        self.ln_2.backward(k, narrow, x, statistics, dy, [dln_w, dln_b]);
    }
}
