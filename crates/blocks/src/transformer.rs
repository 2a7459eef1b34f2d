//! The GPT-2 block: x + attn(LN(x)), then x + mlp(LN(x)).

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use candle_core::Tensor;
use looped_core::fused::FusedBlock;
use looped_core::nn::{LayerNorm, Linear, softmax};
use looped_core::{
    Block, BlockConfig, Error, Memory, ModelDims, Params, Problems, Result, schemars, typetag,
};
use serde::{Deserialize, Serialize};

use crate::mlp::{Mlp, STD, residual_std};
use crate::recorded;
use crate::transformer_fused::FusedTransformer;

/// Self-attention, causal unless said otherwise, and a two-layer network, each after a layer norm and beside a residual path (GPT-2's block).
///
/// Attention has a joint projection to queries, keys and values with bias, and scale 1/sqrt(head width); the network is
/// D -> 4D -> D with GELU in its tanh form; there is no dropout. Parameters, with D = `n_embd`: `ln_1`, `attn.c_attn`
/// (3D, D), `attn.c_proj` (D, D), `ln_2`, `mlp.c_fc` (4D, D), `mlp.c_proj` (D, 4D). Weights start normal with standard
/// deviation 0.02, those of both `c_proj` with 0.02 / sqrt(2 `n_layer`), biases at 0.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transformer {
    /// Attention heads; divides `n_embd`.
    #[schemars(range(min = 1))]
    pub n_head: usize,
    /// Whether a token sees itself and earlier ones only; false is refused for tasks whose targets stand in the prompt.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub causal: bool,
}

const fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_true(value: &bool) -> bool {
    *value
}

#[typetag::serde(name = "transformer")]
impl BlockConfig for Transformer {
    fn validate(&self, dims: &ModelDims, problems: &mut Problems) {
        problems.require(self.n_head > 0 && dims.n_embd.is_multiple_of(self.n_head), "n_head", || {
            let near: Vec<String> = (1..=dims.n_embd.min(64))
                .filter(|h| dims.n_embd.is_multiple_of(*h))
                .map(|h| h.to_string())
                .collect();
            format!(
                "is {}, which does not divide n_embd = {}; allowed: {}",
                self.n_head,
                dims.n_embd,
                near.join(", ")
            )
        });
    }

    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Result<Box<dyn Block>> {
        if !self.causal {
            return Err(Error::RecordedOnly("the block `transformer` with causal = false".to_owned()));
        }
        let width = dims.n_embd;
        Ok(Box::new(TransformerBlock {
            ln_1: LayerNorm::new(width, &mut params.scope("ln_1"))?,
            c_attn: Linear::normal(width, 3 * width, STD, &mut params.scope("attn.c_attn"))?,
            attn_proj: Linear::normal(width, width, residual_std(dims), &mut params.scope("attn.c_proj"))?,
            mlp: Mlp::new(dims, params)?,
            n_head: self.n_head,
            mask: Mutex::default(),
        }))
    }

    fn record(
        &self,
        dims: &ModelDims,
        params: &mut looped_graph::Params<'_>,
    ) -> Option<Box<dyn looped_graph::Block>> {
        Some(Box::new(recorded::Transformer::new(self, dims, params)))
    }

    fn flops(&self, dims: &ModelDims, tokens: Range<usize>) -> u64 {
        let width = dims.n_embd as u64;
        // 12 D^2 weights in products; each query meets every key up to its own twice (scores, values).
        let products = 2 * 12 * width * width * tokens.len() as u64;
        let attention: u64 = tokens.map(|t| 4 * width * (t as u64 + 1)).sum();
        products + attention
    }

    fn activations(&self, dims: &ModelDims, tokens: usize) -> u64 {
        // Counted over the operations below: 40 results of width D a token, 6 of a row of scores for each head.
        (40 * dims.n_embd + 6 * self.n_head * tokens) as u64 * tokens as u64
    }

    fn is_causal(&self) -> bool {
        self.causal
    }

    fn fused(&self, dims: &ModelDims) -> Option<Box<dyn FusedBlock>> {
        let (width, n_head) = (dims.n_embd, self.n_head);
        (self.causal && n_head > 0 && width.is_multiple_of(n_head))
            .then(|| -> Box<dyn FusedBlock> { Box::new(FusedTransformer { width, n_head }) })
    }
}

looped_core::register!(Block, "transformer", Transformer);

struct TransformerBlock {
    ln_1: LayerNorm,
    c_attn: Linear,
    attn_proj: Linear,
    mlp: Mlp,
    n_head: usize,
    /// The mask last used: the same in every loop, and on a GPU a copy that waits.
    mask: Mutex<Option<Tensor>>,
}

/// Keys and values, each (batch, heads, tokens, head width).
struct KeysValues {
    keys: Tensor,
    values: Tensor,
}

impl TransformerBlock {
    /// The block over `x`, after the tokens whose keys and values are given; and its own keys and values.
    fn run(&self, x: &Tensor, before: Option<&Memory>) -> Result<(Tensor, KeysValues)> {
        let (attended, own) = self.attention(&self.ln_1.forward(x)?, before)?;
        Ok((self.mlp.forward(&(x + attended)?)?, own))
    }

    fn attention(&self, x: &Tensor, before: Option<&Memory>) -> Result<(Tensor, KeysValues)> {
        let (batch, tokens, width) = x.dims3()?;
        let head = width / self.n_head;
        // (3, batch, heads, tokens, head width)
        let qkv = self
            .c_attn
            .forward(x)?
            .reshape((batch, tokens, 3, self.n_head, head))?
            .permute((2, 0, 3, 1, 4))?;
        let [queries, keys, values] = [0, 1, 2].map(|i| qkv.get(i).and_then(|part| part.contiguous()));
        let own = KeysValues { keys: keys?, values: values? };
        let (keys, values) = match before {
            None => (own.keys.clone(), own.values.clone()),
            Some(memory) => (
                Tensor::cat(&[&memory.tensors[0], &own.keys], 2)?,
                Tensor::cat(&[&memory.tensors[1], &own.values], 2)?,
            ),
        };
        let scores = (queries?.matmul(&keys.t()?.contiguous()?)? * (1.0 / (head as f64).sqrt()))?;
        let weights = softmax(&scores.broadcast_add(&self.causal_mask(tokens, keys.dim(2)?, x)?)?)?;
        let mixed = weights.matmul(&values)?.transpose(1, 2)?.reshape((batch, tokens, width))?;
        Ok((self.attn_proj.forward(&mixed)?, own))
    }

    /// [`causal_mask`], made anew only for another shape than the last.
    fn causal_mask(&self, queries: usize, keys: usize, like: &Tensor) -> Result<Tensor> {
        let mut last = self.mask.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(mask) if mask.dims() == [queries, keys] => Ok(mask.clone()),
            _ => Ok(last.insert(causal_mask(queries, keys, like)?).clone()),
        }
    }
}

/// 0 where a query may look, minus infinity where it may not: (queries, keys), the queries being the last tokens.
fn causal_mask(queries: usize, keys: usize, like: &Tensor) -> Result<Tensor> {
    let earlier = keys - queries;
    let mask: Vec<f32> = (0..queries)
        .flat_map(|q| (0..keys).map(move |k| if k <= earlier + q { 0.0 } else { f32::NEG_INFINITY }))
        .collect();
    Ok(Tensor::from_vec(mask, (queries, keys), like.device())?)
}

impl Block for TransformerBlock {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.run(x, None)?.0)
    }

    fn prefill(&self, prefix: &Tensor) -> Result<Option<(Tensor, Memory)>> {
        let (output, KeysValues { keys, values }) = self.run(prefix, None)?;
        Ok(Some((output, Memory { tensors: vec![keys, values], inner: vec![] })))
    }

    fn extend(&self, suffix: &Tensor, memory: &Memory) -> Result<Tensor> {
        Ok(self.run(suffix, Some(memory))?.0)
    }
}
