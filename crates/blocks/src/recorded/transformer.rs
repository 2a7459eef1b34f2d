//! The GPT-2 block: x + attn(LN(x)), then x + mlp(LN(x)).

use looped_core::ModelDims;
use looped_graph::{At, Block, Heads, Linear, Norm, Params, Value};

use super::mlp::Mlp;
use crate::mlp::{STD, residual_std};

pub(crate) struct Transformer {
    ln_1: Norm,
    c_attn: Linear,
    c_proj: Linear,
    mlp: Mlp,
    heads: Heads,
}

impl Transformer {
    pub(crate) fn new(config: &crate::Transformer, dims: &ModelDims, params: &mut Params<'_>) -> Self {
        let width = dims.n_embd;
        Self {
            ln_1: Norm::layer(width, &mut params.scope("ln_1")),
            c_attn: Linear::normal(width, 3 * width, STD, &mut params.scope("attn.c_attn")),
            c_proj: Linear::normal(width, width, residual_std(dims), &mut params.scope("attn.c_proj")),
            mlp: Mlp::new(dims, params),
            heads: Heads { heads: config.n_head, causal: config.causal },
        }
    }
}

impl Block for Transformer {
    fn forward<'t>(&self, x: Value<'t>, _: At<'t>) -> Value<'t> {
        let mixed = x.norm(&self.ln_1).linear(&self.c_attn).attention(self.heads);
        self.mlp.forward(x + mixed.linear(&self.c_proj))
    }
}
