//! The block `part_name`: a starting point that trains. Change its config, its map and this text to yours.

use std::ops::Range;

use looped_core::nn::Linear;
use looped_core::{Block, BlockConfig, Memory, ModelDims, Params, Problems, Result, Tensor};
use looped_core::{register, schemars, typetag};
use serde::{Deserialize, Serialize};

/// A gated mean of neighbouring tokens' products: z_t + W_o (q_t * mean over s <= t of k_s * v_{s-1}).
///
/// q, k and v are linear in z, `*` is by coordinate, and v before the first token is 0. A token y_i thus meets its x_i,
/// and the mean of their products is what the averaging estimator needs; attention is not.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartName {
    /// Width of q, k and v, in multiples of `n_embd`.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 64))]
    pub expansion: usize,
}

const fn two() -> usize {
    2
}

#[typetag::serde(name = "part_name")]
impl BlockConfig for PartName {
    fn validate(&self, _: &ModelDims, problems: &mut Problems) {
        problems.require_in(self.expansion, 1..=64, "expansion");
    }

    /// Parameters come from `params`, by name: checkpoints hold them under these names.
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Result<Box<dyn Block>> {
        let (width, inner) = (dims.n_embd, self.expansion * dims.n_embd);
        Ok(Box::new(Gated {
            query: Linear::uniform(width, inner, &mut params.scope("query"))?,
            key: Linear::uniform(width, inner, &mut params.scope("key"))?,
            value: Linear::uniform(width, inner, &mut params.scope("value"))?,
            out: Linear::uniform(inner, width, &mut params.scope("out"))?,
        }))
    }

    fn flops(&self, dims: &ModelDims, tokens: Range<usize>) -> u64 {
        let (width, inner) = (dims.n_embd as u64, (self.expansion * dims.n_embd) as u64);
        // Four products with (D, inner) a token, and a mean over all tokens up to it.
        tokens.map(|token| 8 * width * inner + 2 * inner * (token as u64 + 1)).sum()
    }
}

register!(Block, "part_name", PartName);

/// The block as it runs, built of operations that have a backward pass: candle's plain ones, and those of
/// `looped_core::nn`. (Some of candle's own layers cut the gradient without a word; the tests would tell.)
struct Gated {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
}

impl Gated {
    /// The tokens' k_s * v_{s-1}, `before` being v ahead of them, and their last v.
    fn products(&self, x: &Tensor, before: &Tensor) -> Result<(Tensor, Tensor)> {
        let value = self.value.forward(x)?;
        let tokens = x.dim(1)?;
        let shifted = Tensor::cat(&[before, &value], 1)?.narrow(1, 0, tokens)?;
        Ok(((self.key.forward(x)? * shifted)?, value.narrow(1, tokens - 1, 1)?))
    }

    /// The outputs of `x`, whose tokens are the last ones of `products`.
    fn outputs(&self, x: &Tensor, products: &Tensor) -> Result<Tensor> {
        let (all, tokens) = (products.dim(1)?, x.dim(1)?);
        let seen = running_mean(products)?.narrow(1, all - tokens, tokens)?;
        let gated = (self.query.forward(x)? * seen)?;
        Ok((x + self.out.forward(&gated)?)?)
    }

    /// v before the first token: (batch, 1, inner).
    fn nothing(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.value.forward(&x.narrow(1, 0, 1)?)?.zeros_like()?)
    }
}

impl Block for Gated {
    /// `x` and the result are (batch, tokens, width).
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (products, _) = self.products(x, &self.nothing(x)?)?;
        self.outputs(x, &products)
    }

    /// With this and `extend`, tokens that are the same in every loop are computed once; a block can do without both.
    fn prefill(&self, prefix: &Tensor) -> Result<Option<(Tensor, Memory)>> {
        let (products, last) = self.products(prefix, &self.nothing(prefix)?)?;
        let outputs = self.outputs(prefix, &products)?;
        Ok(Some((outputs, Memory { tensors: vec![products, last], inner: vec![] })))
    }

    fn extend(&self, suffix: &Tensor, memory: &Memory) -> Result<Tensor> {
        let (products, _) = self.products(suffix, &memory.tensors[1])?;
        self.outputs(suffix, &Tensor::cat(&[&memory.tensors[0], &products], 1)?)
    }
}

/// The mean of every token and those before it; `x` and the result are (batch, tokens, width).
fn running_mean(x: &Tensor) -> Result<Tensor> {
    let tokens = x.dim(1)?;
    let weight = |i: usize| {
        let (row, column) = (i / tokens, i % tokens);
        if column <= row { 1.0 / (row as f32 + 1.0) } else { 0.0 }
    };
    let weights: Vec<f32> = (0..tokens * tokens).map(weight).collect();
    let weights = Tensor::from_vec(weights, (tokens, tokens), x.device())?;
    Ok(weights.broadcast_matmul(x)?)
}
