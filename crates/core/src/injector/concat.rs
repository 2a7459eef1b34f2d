//! State and embedded prompt side by side, through a linear layer.

use looped_graph::{At, Inject, Linear, Params, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Injector, ModelDims};

/// State and embedded prompt stand side by side before a linear layer: z = f(W [z, x] + b), from Z = 0.
///
/// This is the adapter of Geiping et al. (arXiv 2502.05171). W and b are the parameters `_injector.adapter`, (D, 2D) and (D), uniform in
/// +-1/sqrt(2D) at first.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Concat {}

#[typetag::serde(name = "concat")]
impl Injector for Concat {
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Inject> {
        Box::new(Adapter(Linear::uniform(2 * dims.n_embd, dims.n_embd, &mut params.scope("adapter"))))
    }
}

crate::register!(Injector, "concat", Concat);

struct Adapter(Linear);

impl Inject for Adapter {
    fn initial<'t>(&self, at: At<'t>) -> Value<'t> {
        at.input.like(0.0)
    }

    fn inject<'t>(&self, state: Value<'t>, at: At<'t>) -> Value<'t> {
        Value::concat(&[state, at.input]).linear(&self.0)
    }
}
