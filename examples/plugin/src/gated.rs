//! An injection in which the state fades.

use looped_core::graph::{At, Inject, Params, Value};
use looped_core::{Injector, ModelDims, Problems, register, schemars, typetag};
use serde::{Deserialize, Serialize};

/// The state meets the embedded prompt behind a fixed gate g: z = f(x + g z), from Z = 0.
///
/// With g = 1 this is `full`; a smaller g forgets earlier loops faster.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gated {
    /// How much of the state is passed on (above 0, at most 1).
    #[serde(default = "half")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub gate: f64,
}

const fn half() -> f64 {
    0.5
}

#[typetag::serde(name = "gated")]
impl Injector for Gated {
    fn validate(&self, _: &ModelDims, problems: &mut Problems) {
        problems.require(self.gate > 0.0 && self.gate <= 1.0, "gate", || {
            format!("is {}; allowed: above 0, at most 1", self.gate)
        });
    }

    fn build(&self, _: &ModelDims, _: &mut Params<'_>) -> Box<dyn Inject> {
        Box::new(*self)
    }
}

/// It has no parameters, so the config itself is what is built.
impl Inject for Gated {
    fn initial<'t>(&self, at: At<'t>) -> Value<'t> {
        at.input.like(0.0)
    }

    fn inject<'t>(&self, state: Value<'t>, at: At<'t>) -> Value<'t> {
        at.input + state * self.gate as f32
    }
}

register!(Injector, "gated", Gated);

#[cfg(test)]
mod tests {
    use super::*;
    use looped_testing::injector_gives;

    #[test]
    fn the_gate_scales_the_state() {
        let (state, input) = ([[4.0], [-8.0]], [[10.0], [20.0]]);
        assert_eq!(injector_gives(&Gated { gate: 0.25 }, &state, &input, |_, _| 0.0), [[11.0], [18.0]]);
    }
}
