//! A gate that is learnt, between a token's state and the embedded prompt.

use looped_graph::{At, Inject, Linear, Params, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Injector, ModelDims};

/// A learnt gate decides how much of a token's state goes on: z = f(g z + (1 - g) x) with g = sigmoid(W [z, x] + b), from Z = 0.
///
/// W and b are the parameters `_injector.gate`, (D, 2D) and (D), uniform in +-1/sqrt(2D) at first, so that half of the state goes on, about. A
/// gate near 1 lets a token keep what it has found.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LearnedGate {}

#[typetag::serde(name = "learned_gate")]
impl Injector for LearnedGate {
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Inject> {
        Box::new(Gate(Linear::uniform(2 * dims.n_embd, dims.n_embd, &mut params.scope("gate"))))
    }
}

crate::register!(Injector, "learned_gate", LearnedGate);

struct Gate(Linear);

impl Inject for Gate {
    fn initial<'t>(&self, at: At<'t>) -> Value<'t> {
        at.input.like(0.0)
    }

    fn inject<'t>(&self, state: Value<'t>, at: At<'t>) -> Value<'t> {
        let gate = Value::concat(&[state, at.input]).linear(&self.0).sigmoid().probe("gate");
        at.input + gate * (state - at.input)
    }
}
