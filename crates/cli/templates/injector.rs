//! The injector `part_name`: a starting point that trains. Change its settings, its rule and this text to yours.

use looped_core::{Injector, LoopStep, ModelDims, Problems, Result, Tensor};
use looped_core::{register, schemars, typetag};
use serde::{Deserialize, Serialize};

/// Every n-th token keeps its state, from Z = 0; the others start each loop from the embedded prompt alone.
///
/// z = f(x + m * z) with m = 1 at the tokens 0, n, 2n, ... and 0 elsewhere. Tokens are x_1, y_1, x_2, y_2, ..., so n = 2
/// keeps the state where predictions are read, and n = 1 is `full`.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartName {
    /// Which tokens keep their state: one in so many.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub every: usize,
}

const fn two() -> usize {
    2
}

#[typetag::serde(name = "part_name")]
impl Injector for PartName {
    fn validate(&self, _: &ModelDims, problems: &mut Problems) {
        problems.require_in(self.every, 1..=1_000_000, "every");
    }

    /// `input`, the embedded prompt, and the result are (batch, tokens, width).
    fn initial(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.zeros_like()?)
    }

    /// `at` tells the loop, and which token the given tensors start at.
    fn inject(&self, state: &Tensor, input: &Tensor, at: LoopStep) -> Result<Tensor> {
        let keeps = |token: usize| if token.is_multiple_of(self.every) { 1.0f32 } else { 0.0 };
        let mask: Vec<f32> = (at.first_token..at.tokens).map(keeps).collect();
        let mask = Tensor::from_vec(mask, (1, at.tokens - at.first_token, 1), state.device())?;
        Ok((input + state.broadcast_mul(&mask)?)?)
    }

    // An injector whose first tokens never see the state says how many in `invariant_prefix`: they are computed once
    // for all loops. Here the very first token keeps its state, so there are none.
}

register!(Injector, "part_name", PartName);
