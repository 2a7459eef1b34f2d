//! The injector `part_name`: a starting point that trains. Change its settings, its rule and this text to yours.

use looped_core::graph::{At, Inject, Param, Params, Value};
use looped_core::{Init, Injector, ModelDims, Problems};
use looped_core::{register, schemars, typetag};
use serde::{Deserialize, Serialize};

/// The last n tokens pass on a share of their state that is learnt; the others start each loop from the embedded prompt.
///
/// z = f(x + s * z) at the last n tokens and z = f(x) elsewhere, from Z = 0. `*` is by coordinate, and s is the parameter
/// `_injector.share`, 1 at first: then this is `last_n`.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartName {
    /// How many tokens pass on their state; a prompt of k points has 2k.
    #[serde(default = "twelve")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub n: usize,
}

const fn twelve() -> usize {
    12
}

#[typetag::serde(name = "part_name")]
impl Injector for PartName {
    fn validate(&self, _: &ModelDims, problems: &mut Problems) {
        problems.require_in(self.n, 1..=1_000_000, "n");
    }

    /// Asks for the parameters, under the names that checkpoints hold them by.
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Inject> {
        Box::new(Shared { n: self.n, share: params.get("share", [dims.n_embd], Init::Ones) })
    }
}

register!(Injector, "part_name", PartName);

/// The injector with its parameters.
struct Shared {
    n: usize,
    share: Param,
}

/// Both methods are expressions. They run once, when the model is built, and compute nothing: they record what every engine is to
/// compute. The gradient, the cost, and which tokens need computing only once all follow from them.
impl Inject for Shared {
    /// The state before the first loop: as many rows as the embedded prompt, `at.input`, has; filled with 0.
    fn initial<'t>(&self, at: At<'t>) -> Value<'t> {
        at.input.like(0.0)
    }

    /// What the first block of a loop sees.
    fn inject<'t>(&self, state: Value<'t>, at: At<'t>) -> Value<'t> {
        // A `Value` is a row of numbers for each token. `keep_last` keeps the rows of the last n tokens and makes the others 0:
        // those get the same input in every loop, so engines compute them once.
        let kept = state.keep_last(self.n, 0.0);

        // A parameter is one row, which meets each token's. For a layer with a matrix there is `kept.linear(&layer)`.
        let share = at.param(self.share);

        // `probe` names a value, to be looked at, and changes nothing.
        at.input + (kept * share).probe("passed on")
    }
}
