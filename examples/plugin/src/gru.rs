//! A GRU layer over the tokens.

use std::ops::Range;

use looped_core::graph::{self, At, Linear, Value};
use looped_core::{
    Block, BlockConfig, Init, Memory, ModelDims, Params, Result, Tensor, register, schemars, typetag,
};
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
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Result<Box<dyn Block>> {
        let width = dims.n_embd;
        let init = Init::Uniform { bound: 1.0 / (width as f64).sqrt() };
        Ok(Box::new(GruBlock {
            weight_ih: params.get("weight_ih_l0", (3 * width, width), init)?,
            weight_hh: params.get("weight_hh_l0", (3 * width, width), init)?,
            bias_ih: params.get("bias_ih_l0", 3 * width, init)?,
            bias_hh: params.get("bias_hh_l0", 3 * width, init)?,
        }))
    }

    fn record(&self, dims: &ModelDims, params: &mut graph::Params<'_>) -> Option<Box<dyn graph::Block>> {
        let width = dims.n_embd;
        let init = Init::Uniform { bound: 1.0 / (width as f64).sqrt() };
        let mut layer = |of: &str| {
            let weight = params.get(&format!("weight_{of}_l0"), [3 * width, width], init);
            let bias = params.get(&format!("bias_{of}_l0"), [3 * width], init);
            Linear::of(weight, Some(bias), width, 3 * width)
        };
        Some(Box::new(Recorded { input: layer("ih"), recurrent: layer("hh") }))
    }

    fn flops(&self, dims: &ModelDims, tokens: Range<usize>) -> u64 {
        // Two products of (1, D) and (D, 3D) a token.
        let width = dims.n_embd as u64;
        2 * 6 * width * width * tokens.len() as u64
    }
}

register!(Block, "gru", Gru);

/// The layer as every engine can run it: written once, its gradient derived.
struct Recorded {
    input: Linear,
    recurrent: Linear,
}

impl graph::Block for Recorded {
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

struct GruBlock {
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor,
    bias_hh: Tensor,
}

impl GruBlock {
    /// The hidden states (batch, tokens, width) from `hidden` (batch, width) on, and the last one.
    fn run(&self, x: &Tensor, mut hidden: Tensor) -> Result<(Tensor, Tensor)> {
        let (batch, tokens, width) = x.dims3()?;
        // What the inputs add to the gates, for all tokens in one product.
        let from_inputs = x
            .reshape((batch * tokens, width))?
            .matmul(&self.weight_ih.t()?)?
            .broadcast_add(&self.bias_ih)?
            .reshape((batch, tokens, 3 * width))?;
        let recurrent = self.weight_hh.t()?.contiguous()?;
        let mut outputs = Vec::with_capacity(tokens);
        for token in 0..tokens {
            let input = from_inputs.narrow(1, token, 1)?.squeeze(1)?;
            let state = hidden.matmul(&recurrent)?.broadcast_add(&self.bias_hh)?;
            let gate = |of: &Tensor, i: usize| of.narrow(1, i * width, width);
            let reset = sigmoid(&(gate(&input, 0)? + gate(&state, 0)?)?)?;
            let update = sigmoid(&(gate(&input, 1)? + gate(&state, 1)?)?)?;
            let new = (gate(&input, 2)? + (reset * gate(&state, 2)?)?)?.tanh()?;
            // (1 - update) new + update hidden
            hidden = (&new + (update * (&hidden - &new)?)?)?;
            outputs.push(hidden.clone());
        }
        Ok((Tensor::stack(&outputs, 1)?, hidden))
    }

    fn at_rest(x: &Tensor) -> Result<Tensor> {
        Ok(x.narrow(1, 0, 1)?.squeeze(1)?.zeros_like()?)
    }
}

/// The logistic function by tanh, which candle differentiates on every device.
fn sigmoid(x: &Tensor) -> Result<Tensor> {
    Ok((((x * 0.5)?.tanh()? + 1.0)? * 0.5)?)
}

impl Block for GruBlock {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.run(x, Self::at_rest(x)?)?.0)
    }

    fn prefill(&self, prefix: &Tensor) -> Result<Option<(Tensor, Memory)>> {
        let (outputs, hidden) = self.run(prefix, Self::at_rest(prefix)?)?;
        Ok(Some((outputs, Memory { tensors: vec![hidden], inner: vec![] })))
    }

    fn extend(&self, suffix: &Tensor, memory: &Memory) -> Result<Tensor> {
        Ok(self.run(suffix, memory.tensors[0].clone())?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use looped_core::{Device, ParamStore};

    /// ```python
    /// gru = torch.nn.GRU(2, 2, batch_first=True).double()
    /// with torch.no_grad():
    ///     for k, p in enumerate(gru.parameters()):
    ///         p.copy_(torch.sin(torch.arange(p.numel(), dtype=torch.float64) + k).reshape(p.shape))
    ///     print(gru(torch.cos(torch.arange(6, dtype=torch.float64)).reshape(1, 3, 2))[0].flatten().tolist())
    /// ```
    #[test]
    fn the_layer_is_that_of_pytorch() -> Result<()> {
        let dims = ModelDims { n_dims: 1, n_positions: 3, n_embd: 2, n_layer: 1 };
        let mut store = ParamStore::new(0, &Device::Cpu);
        let gru = Gru {}.build(&dims, &mut store.trainable())?;
        for (k, name) in ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"].into_iter().enumerate()
        {
            let parameter = store.get(name).expect("a parameter under PyTorch's name");
            let values = (0..parameter.elem_count()).map(|i| ((i + k) as f32).sin()).collect();
            parameter.set(&Tensor::from_vec(values, parameter.shape(), &Device::Cpu)?)?;
        }
        let x = (0..6).map(|i| (i as f32).cos()).collect();
        let x = Tensor::from_vec(x, (1, 3, 2), &Device::Cpu)?;
        let hidden: Vec<f32> = gru.forward(&x)?.flatten_all()?.to_vec1()?;
        let expected = [0.856_576_2, 0.119_230_36, -0.116_153_42, 0.745_293_4, -0.484_771_8, 0.710_511_2];
        for (hidden, expected) in hidden.iter().zip(expected) {
            assert!((hidden - expected).abs() < 1e-6, "{hidden} {expected}");
        }
        Ok(())
    }
}
