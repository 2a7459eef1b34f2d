//! Softmax attention.

use candle_core::{D, Result, Tensor};
use candle_nn::ops::softmax;

use super::takes_tokens;
use crate::{Form, Heads, Meaning, Op, Reach, Shape};

/// [`Value::attention`](crate::Value::attention): softmax(Q K^T / sqrt(head width)) V in each head (Vaswani et al., arXiv 1706.03762, equation 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attention(pub Heads);

impl Op for Attention {
    fn name(&self) -> String {
        if self.0.causal { "attention".to_owned() } else { "attention to all".to_owned() }
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        takes_tokens(inputs[0])?;
        let (heads, width) = (self.0.heads, inputs[0].width);
        if heads == 0 || !width.is_multiple_of(3 * heads) {
            return Err(format!("a row isn't queries, keys and values of {heads} heads"));
        }
        Ok(vec![inputs[0].with_width(width / 3)])
    }

    fn reach(&self) -> Reach {
        if self.0.causal { Reach::Back } else { Reach::All }
    }

    /// Each query meets every key up to its own twice: scores and values.
    fn flops(&self, inputs: &[Shape], earlier: usize) -> u64 {
        4 * (inputs[0].width / 3) as u64 * (earlier as u64 + 1)
    }

    /// Queries, keys (twice), values and the outcome (twice); six times the scores.
    fn kept_by_candle(&self, inputs: &[Shape], tokens: usize) -> u64 {
        (6 * tokens * (inputs[0].width / 3 + self.0.heads * tokens)) as u64
    }

    fn form(&self) -> Form<'_> {
        Form::Attention(self.0)
    }

    fn meaning(&self, inputs: &[Tensor], of: Meaning<'_>) -> Result<Vec<Tensor>> {
        let (sequences, tokens, width) = inputs[0].dims3()?;
        let (heads, width) = (self.0.heads, width / 3);
        let head = width / heads;
        // (3, prompts, heads, tokens, head width)
        let qkv = inputs[0].reshape((sequences, tokens, 3, heads, head))?.permute((2, 0, 3, 1, 4))?;
        let part = |i: usize| qkv.get(i)?.contiguous();
        let (queries, keys, values) = (part(0)?, part(1)?, part(2)?);
        let scores = (queries.matmul(&keys.t()?.contiguous()?)? * (1.0 / (head as f64).sqrt()))?;
        let scores = if self.0.causal { scores.broadcast_add(&later(tokens, of)?)? } else { scores };
        let mixed = softmax(&scores, D::Minus1)?.matmul(&values)?;
        Ok(vec![mixed.transpose(1, 2)?.reshape((sequences, tokens, width))?])
    }
}

/// 0 where a token may look, minus infinity where it may not: (tokens, tokens).
fn later(tokens: usize, of: Meaning<'_>) -> Result<Tensor> {
    let row = |q| (0..tokens).map(move |k| if k <= q { 0.0 } else { f32::NEG_INFINITY });
    Tensor::from_vec((0..tokens).flat_map(row).collect::<Vec<f32>>(), (tokens, tokens), of.device)?
        .to_dtype(of.dtype)
}
