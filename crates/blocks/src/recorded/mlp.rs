//! The network in the second half of a block.

use looped_core::ModelDims;
use looped_graph::{Linear, Norm, Params, Value};

use crate::mlp::{STD, residual_std};

/// x + c_proj(gelu(c_fc(LN(x)))), D -> 4D -> D with GELU in its tanh form.
pub(crate) struct Mlp {
    ln_2: Norm,
    c_fc: Linear,
    c_proj: Linear,
}

impl Mlp {
    /// `ln_2`, `mlp.c_fc` (4D, D) and `mlp.c_proj` (D, 4D) below a block's prefix.
    pub(crate) fn new(dims: &ModelDims, params: &Params<'_>) -> Self {
        let width = dims.n_embd;
        Self {
            ln_2: Norm::layer(width, &mut params.scope("ln_2")),
            c_fc: Linear::normal(width, 4 * width, STD, &mut params.scope("mlp.c_fc")),
            c_proj: Linear::normal(4 * width, width, residual_std(dims), &mut params.scope("mlp.c_proj")),
        }
    }

    pub(crate) fn forward<'t>(&self, x: Value<'t>) -> Value<'t> {
        x + x.norm(&self.ln_2).linear(&self.c_fc).gelu().linear(&self.c_proj)
    }
}
