//! A transformer-like block with a state space in attention's place: x + ssm(LN(x)), then x + mlp(LN(x)).

mod discrete;

use looped_core::{Init, ModelDims};
use looped_graph::{At, Block, Linear, Norm, Param, Params, Value};

use self::discrete::Discrete;
use super::mlp::Mlp;
use crate::mlp::residual_std;
use crate::ssm::SPREAD;

pub(crate) struct Ssm {
    ln_1: Norm,
    log_dt: Param,
    log_a: Param,
    b: Param,
    c: Param,
    d: Param,
    c_proj: Linear,
    mlp: Mlp,
}

impl Ssm {
    pub(crate) fn new(config: &crate::Ssm, dims: &ModelDims, params: &mut Params<'_>) -> Self {
        let (width, each) = (dims.n_embd, [config.n_state, dims.n_embd]);
        let mut ssm = params.scope("ssm");
        Self {
            ln_1: Norm::layer(width, &mut params.scope("ln_1")),
            log_dt: ssm.get("log_dt", [width], Init::Uniform { bound: SPREAD.ln() }),
            log_a: ssm.get("log_a", each, Init::Zeros),
            b: ssm.get("b", each, Init::Ones),
            c: ssm.get("c", each, Init::Normal { std: 1.0 }),
            d: ssm.get("d", [width], Init::Ones),
            c_proj: Linear::normal(width, width, residual_std(dims), &mut ssm.scope("c_proj")),
            mlp: Mlp::new(dims, params),
        }
    }
}

impl Block for Ssm {
    fn forward<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t> {
        let [log_dt, log_a, b] = [self.log_dt, self.log_a, self.b].map(|param| at.param(param));
        let [decay, gain] = Value::custom(Discrete, &[log_dt, log_a, b]);
        let mixed = x.norm(&self.ln_1).scan(decay, gain, at.param(self.c), at.param(self.d));
        self.mlp.forward(x + mixed.linear(&self.c_proj))
    }
}
