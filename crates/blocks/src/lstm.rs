//! An LSTM layer over the tokens, in a transformer block's place.

use looped_core::graph::{At, Linear, Value};
use looped_core::{Block, BlockConfig, Init, ModelDims, Params, schemars, typetag};
use serde::{Deserialize, Serialize};

/// An LSTM layer over the tokens, of hidden width D = `n_embd` (Hochreiter and Schmidhuber, 1997).
///
/// Its hidden states are its output; there is no residual path and no norm of its own. Parameters and gate order (input,
/// forget, cell, output) are PyTorch's `nn.LSTM`: `weight_ih_l0` and `weight_hh_l0` (4D, D), `bias_ih_l0` and
/// `bias_hh_l0` (4D), all uniform in +-1/sqrt(D) at first.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lstm {}

#[typetag::serde(name = "lstm")]
impl BlockConfig for Lstm {
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Block> {
        let width = dims.n_embd;
        let init = Init::Uniform { bound: 1.0 / (width as f64).sqrt() };
        let mut layer = |of: &str| {
            let weight = params.get(&format!("weight_{of}_l0"), [4 * width, width], init);
            let bias = params.get(&format!("bias_{of}_l0"), [4 * width], init);
            Linear::of(weight, Some(bias), width, 4 * width)
        };
        Box::new(LstmBlock { input: layer("ih"), recurrent: layer("hh") })
    }
}

looped_core::register!(Block, "lstm", Lstm);

struct LstmBlock {
    input: Linear,
    recurrent: Linear,
}

impl Block for LstmBlock {
    fn forward<'t>(&self, x: Value<'t>, _: At<'t>) -> Value<'t> {
        let [hidden, _] = x.recur([x.width(); 2], |x, [hidden, cell]| {
            let gates = x.linear(&self.input) + hidden.linear(&self.recurrent);
            let [input, forget, new, output] = gates.split();
            let cell = forget.sigmoid() * cell + input.sigmoid() * new.tanh();
            [output.sigmoid() * cell.tanh(), cell]
        });
        hidden
    }
}
