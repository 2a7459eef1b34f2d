//! An injection in which the state fades.

use looped_core::graph::{self, At, Value};
use looped_core::{Injector, LoopStep, ModelDims, Problems, Result, Tensor, register, schemars, typetag};
use serde::{Deserialize, Serialize};

/// The state meets the embedded prompt behind a fixed gate g: z = f(x + g z), from Z = 0.
///
/// With g = 1 this is `full`; a smaller g forgets earlier loops faster. Every token sees its state, so no leading token
/// has the same input in every loop: the invariant prefix is empty, and each loop runs over all tokens.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
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

    fn initial(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.zeros_like()?)
    }

    fn inject(&self, state: &Tensor, input: &Tensor, _: LoopStep) -> Result<Tensor> {
        Ok((input + (state * self.gate)?)?)
    }

    fn record(&self, _: &ModelDims, _: &mut graph::Params<'_>) -> Option<Box<dyn graph::Inject>> {
        Some(Box::new(Recorded { gate: self.gate as f32 }))
    }
}

/// The injection as every engine can run it.
struct Recorded {
    gate: f32,
}

impl graph::Inject for Recorded {
    fn initial<'t>(&self, at: At<'t>) -> Value<'t> {
        at.input.like(0.0)
    }

    fn inject<'t>(&self, state: Value<'t>, at: At<'t>) -> Value<'t> {
        at.input + state * self.gate
    }
}

register!(Injector, "gated", Gated);

#[cfg(test)]
mod tests {
    use super::*;
    use looped_core::Device;

    #[test]
    fn the_gate_scales_the_state() -> Result<()> {
        let tokens = |values: [f32; 2]| Tensor::from_slice(&values, (1, 2, 1), &Device::Cpu);
        let at = LoopStep { index: 1, tokens: 2, first_token: 0 };
        let met = Gated { gate: 0.25 }.inject(&tokens([4.0, -8.0])?, &tokens([10.0, 20.0])?, at)?;
        assert_eq!(met.flatten_all()?.to_vec1::<f32>()?, [11.0, 18.0]);
        Ok(())
    }
}
