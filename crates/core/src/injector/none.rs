//! A loop that sees the last one's output alone.

use looped_graph::{At, Inject, Params, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Injector, ModelDims};

/// No injection: the first state is the embedded prompt, and each loop works on the last one's output alone.
///
/// With one loop this is the standard transformer, with more the weight-tied one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoInjection {}

#[typetag::serde(name = "none")]
impl Injector for NoInjection {
    fn build(&self, _: &ModelDims, _: &mut Params<'_>) -> Box<dyn Inject> {
        Box::new(PassOn)
    }
}

crate::register!(Injector, "none", NoInjection);

struct PassOn;

impl Inject for PassOn {
    fn initial<'t>(&self, at: At<'t>) -> Value<'t> {
        at.input
    }

    fn inject<'t>(&self, state: Value<'t>, _: At<'t>) -> Value<'t> {
        state
    }
}
