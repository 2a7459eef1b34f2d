//! A GRU layer over the tokens.

use looped_core::graph::{At, Block, Linear, Params, Value};
use looped_core::{BlockConfig, Init, ModelDims, register, schemars, typetag};
use serde::{Deserialize, Serialize};

/// A GRU layer over the tokens, of hidden width D = `n_embd` (Cho et al., 2014).
///
/// Its hidden states are its output; there is no residual path and no norm of its own. Parameters and gate order (reset,
/// update, new) are PyTorch's `nn.GRU`: `weight_ih_l0` and `weight_hh_l0` (3D, D), `bias_ih_l0` and `bias_hh_l0` (3D),
/// all uniform in +-1/sqrt(D) at first.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gru {}

#[typetag::serde(name = "gru")]
impl BlockConfig for Gru {
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Block> {
        let width = dims.n_embd;
        let init = Init::Uniform { bound: 1.0 / (width as f64).sqrt() };
        let mut layer = |of: &str| {
            let weight = params.get(&format!("weight_{of}_l0"), [3 * width, width], init);
            let bias = params.get(&format!("bias_{of}_l0"), [3 * width], init);
            Linear::of(weight, Some(bias), width, 3 * width)
        };
        Box::new(Layer { input: layer("ih"), recurrent: layer("hh") })
    }
}

register!(Block, "gru", Gru);

struct Layer {
    input: Linear,
    recurrent: Linear,
}

impl Block for Layer {
    fn forward<'t>(&self, x: Value<'t>, _: At<'t>) -> Value<'t> {
        let [hidden] = x.recur([x.width()], |x, [hidden]| {
            let [xr, xu, xn] = x.linear(&self.input).split();
            let [hr, hu, hn] = hidden.linear(&self.recurrent).split();
            let (reset, update) = ((xr + hr).sigmoid(), (xu + hu).sigmoid());
            let new = (xn + reset * hn).tanh();
            [new + update * (hidden - new)]
        });
        hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use looped_testing::block_gives;

    /// ```python
    /// gru = torch.nn.GRU(2, 2, batch_first=True).double()
    /// with torch.no_grad():
    ///     for k, p in enumerate(gru.parameters()):
    ///         p.copy_(torch.sin(torch.arange(p.numel(), dtype=torch.float64) + k).reshape(p.shape))
    ///     print(gru(torch.cos(torch.arange(6, dtype=torch.float64)).reshape(1, 3, 2))[0].flatten().tolist())
    /// ```
    #[test]
    fn the_layer_is_that_of_pytorch() {
        let names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"];
        let place = |name: &str| names.iter().position(|known| *known == name).expect("a name of PyTorch's");
        let tokens = [0.0, 2.0, 4.0].map(|i: f64| [i.cos(), (i + 1.0).cos()]);
        let hidden = block_gives(&Gru {}, &tokens, |name, i| ((i + place(name)) as f64).sin());
        let expected = [0.856_576_2, 0.119_230_36, -0.116_153_42, 0.745_293_4, -0.484_771_8, 0.710_511_2];
        for (hidden, expected) in hidden.as_flattened().iter().zip(expected) {
            assert!((hidden - expected).abs() < 1e-6, "{hidden} {expected}");
        }
    }
}
