//! A transformer-like block with a state space in attention's place: x + ssm(LN(x)), then x + mlp(LN(x)).

mod discrete;

use looped_core::graph::{At, Linear, Norm, Param, Value};
use looped_core::{Block, BlockConfig, Init, ModelDims, Params, Problems, schemars, typetag};
use serde::{Deserialize, Serialize};

use self::discrete::Discrete;
use crate::mlp::{Mlp, residual_std};
use crate::residual::Beside;

/// A diagonal state space and a two-layer network, each after a layer norm and beside a residual path: a transformer
/// block in which attention is replaced by a linear recurrence over the tokens (S4D-Real; Gu et al., arXiv 2206.11893).
///
/// Each of the D = `n_embd` channels has `n_state` states of its own; the one numbered n (from 0) is
/// h = a h + (1 - a) / r * b x, with decay a = exp(-t r), rate r = (n + 1) exp(log_a) and step t = 0.01 exp(log_dt): the
/// zero-order hold of h' = -r h + b x. The channel's output is d x plus the sum of c h. A projection D -> D then mixes the
/// channels; the network is the transformer's. Parameters: `ln_1`; `ssm.log_dt` (D), uniform at first so that t is in
/// 0.001 .. 0.1; `ssm.log_a` (`n_state`, D), 0; `ssm.b` (`n_state`, D), 1; `ssm.c` (`n_state`, D), standard normal; `ssm.d` (D),
/// 1; `ssm.c_proj` (D, D); `ln_2`, `mlp.c_fc`, `mlp.c_proj`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ssm {
    /// States of each channel (at least 1).
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 65536))]
    pub n_state: usize,
}

const fn eight() -> usize {
    8
}

/// How far, in factors, steps start from the middle one.
const SPREAD: f64 = 10.0;

#[typetag::serde(name = "ssm")]
impl BlockConfig for Ssm {
    fn validate(&self, _: &ModelDims, problems: &mut Problems) {
        problems.require((1..=65536).contains(&self.n_state), "n_state", || {
            format!("is {}; allowed: 1 to 65536", self.n_state)
        });
    }

    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Block> {
        let (width, each) = (dims.n_embd, [self.n_state, dims.n_embd]);
        let mut ssm = params.scope("ssm");
        Box::new(SsmBlock {
            ln_1: Norm::layer(width, &mut params.scope("ln_1")),
            log_dt: ssm.get("log_dt", [width], Init::Uniform { bound: SPREAD.ln() }),
            log_a: ssm.get("log_a", each, Init::Zeros),
            b: ssm.get("b", each, Init::Ones),
            c: ssm.get("c", each, Init::Normal { std: 1.0 }),
            d: ssm.get("d", [width], Init::Ones),
            c_proj: Linear::normal(width, width, residual_std(dims), &mut ssm.scope("c_proj")),
            mlp: Mlp::new(dims, Beside::PRE, None, params),
        })
    }
}

looped_core::register!(Block, "ssm", Ssm);

struct SsmBlock {
    ln_1: Norm,
    log_dt: Param,
    log_a: Param,
    b: Param,
    c: Param,
    d: Param,
    c_proj: Linear,
    mlp: Mlp,
}

impl Block for SsmBlock {
    fn forward<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t> {
        let [log_dt, log_a, b] = [self.log_dt, self.log_a, self.b].map(|param| at.param(param));
        let [decay, gain] = Value::custom(Discrete, &[log_dt, log_a, b]);
        let mixed = x.norm(&self.ln_1).scan(decay, gain, at.param(self.c), at.param(self.d));
        self.mlp.forward(x + mixed.linear(&self.c_proj), at)
    }
}
