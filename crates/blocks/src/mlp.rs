//! The network in the second half of a block.

use looped_core::graph::{At, Linear, Norm, Value};
use looped_core::{ModelDims, Params};

use crate::lora::{Adapted, Lora};
use crate::residual::{Beside, Residual};

/// Standard deviation of weights at first, as in GPT-2.
pub(crate) const STD: f64 = 0.02;

/// That of weights whose products a block adds to the residual path. Each block adds twice: over `n_layer` such blocks
/// the path's variance at the start is independent of depth. Blocks inside a `sequential` aren't counted: m of them add m
/// times as much, so that `n_layer = 2` and a `sequential` of two start differently.
pub(crate) fn residual_std(dims: &ModelDims) -> f64 {
    STD / (2.0 * dims.n_layer as f64).sqrt()
}

/// c_proj(gelu(c_fc(x))), D -> 4D -> D with GELU in its tanh form, beside a residual path.
pub(crate) struct Mlp {
    path: Residual,
    c_fc: Adapted,
    c_proj: Adapted,
}

impl Mlp {
    /// `ln_2`, `mlp.c_fc` (4D, D) and `mlp.c_proj` (D, 4D) below a block's prefix.
    pub(crate) fn new(dims: &ModelDims, beside: Beside, lora: Option<Lora>, params: &Params<'_>) -> Self {
        let width = dims.n_embd;
        let layer = |name: &str, inputs, out, std| {
            Adapted::new(lora, params.scope(name), |params| Linear::normal(inputs, out, std, params))
        };
        Self {
            path: Residual::new(beside, "ln_2", |name| Norm::layer(width, &mut params.scope(name))),
            c_fc: layer("mlp.c_fc", width, 4 * width, STD),
            c_proj: layer("mlp.c_proj", 4 * width, width, residual_std(dims)),
        }
    }

    pub(crate) fn forward<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t> {
        self.path.around(x, |x| self.c_proj.of(self.c_fc.of(x, at).gelu(), at))
    }
}
