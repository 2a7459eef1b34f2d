//! Softmax attention.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{D, DType, DeviceLocation, Result, Tensor};
use candle_nn::ops::softmax;

use super::takes_tokens;
use crate::{Form, Heads, Meaning, Op, Reach, Shape};

/// [`Value::attention`](crate::Value::attention): softmax(Q K^T / sqrt(head width)) V in each head (Vaswani et al., arXiv 1706.03762, equation 1).
#[derive(Debug)]
pub struct Attention {
    heads: Heads,
    masks: Masks,
}

impl Attention {
    pub(crate) fn new(heads: Heads) -> Self {
        Self { heads, masks: Masks::default() }
    }
}

impl Op for Attention {
    fn name(&self) -> String {
        if self.heads.causal { "attention".to_owned() } else { "attention to all".to_owned() }
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        takes_tokens(inputs[0])?;
        let (heads, width) = (self.heads.heads, inputs[0].width);
        if heads == 0 || !width.is_multiple_of(3 * heads) {
            return Err(format!("a row isn't queries, keys and values of {heads} heads"));
        }
        Ok(vec![inputs[0].with_width(width / 3)])
    }

    fn reach(&self) -> Reach {
        if self.heads.causal { Reach::Back } else { Reach::All }
    }

    /// Each query meets every key up to its own twice: scores and values.
    fn flops(&self, inputs: &[Shape], earlier: usize) -> u64 {
        4 * (inputs[0].width / 3) as u64 * (earlier as u64 + 1)
    }

    /// Queries, keys (twice), values and the outcome (twice); six times the scores.
    fn kept_by_candle(&self, inputs: &[Shape], tokens: usize) -> u64 {
        (6 * tokens * (inputs[0].width / 3 + self.heads.heads * tokens)) as u64
    }

    fn form(&self) -> Form<'_> {
        Form::Attention(self.heads)
    }

    fn meaning(&self, inputs: &[Tensor], of: Meaning<'_>) -> Result<Vec<Tensor>> {
        let (sequences, tokens, width) = inputs[0].dims3()?;
        let (heads, width) = (self.heads.heads, width / 3);
        let head = width / heads;
        // (3, prompts, heads, tokens, head width)
        let qkv = inputs[0].reshape((sequences, tokens, 3, heads, head))?.permute((2, 0, 3, 1, 4))?;
        let part = |i: usize| qkv.get(i)?.contiguous();
        let (queries, keys, values) = (part(0)?, part(1)?, part(2)?);
        let scores = (queries.matmul(&keys.t()?.contiguous()?)? * (1.0 / (head as f64).sqrt()))?;
        let scores =
            if self.heads.causal { scores.broadcast_add(&self.masks.of(tokens, of)?)? } else { scores };
        let mixed = softmax(&scores, D::Minus1)?.matmul(&values)?;
        Ok(vec![mixed.transpose(1, 2)?.reshape((sequences, tokens, width))?])
    }
}

/// 0 where a token may look, minus infinity where it may not: (tokens, tokens). Each is made, and put on its device, once.
#[derive(Debug, Default)]
struct Masks(Mutex<HashMap<(usize, DType, DeviceLocation), Tensor>>);

impl Masks {
    fn of(&self, tokens: usize, of: Meaning<'_>) -> Result<Tensor> {
        // Whoever panicked with the lock has left a map of whole masks.
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (tokens, of.dtype, of.device.location());
        if let Some(mask) = made.get(&key) {
            return Ok(mask.clone());
        }
        let row = |q| (0..tokens).map(move |k| if k <= q { 0.0 } else { f32::NEG_INFINITY });
        let mask = (0..tokens).flat_map(row).collect::<Vec<f32>>();
        let mask = Tensor::from_vec(mask, (tokens, tokens), of.device)?.to_dtype(of.dtype)?;
        made.insert(key, mask.clone());
        Ok(mask)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_mask_is_made_once_for_each_length_and_type() {
        let of = |dtype| Meaning {
            params: &[],
            index: 0,
            loops: 1,
            sequences: 1,
            tokens: 2,
            dtype,
            device: &Device::Cpu,
        };
        let masks = Masks::default();
        let mask = |tokens, dtype| masks.of(tokens, of(dtype)).unwrap();
        let first = mask(2, DType::F32);
        assert_eq!(first.to_vec2::<f32>().unwrap(), [[0.0, f32::NEG_INFINITY], [0.0, 0.0]]);
        assert_eq!(mask(2, DType::F32).id(), first.id());
        assert_eq!(mask(3, DType::F32).dims(), [3, 3]);
        assert_eq!(mask(2, DType::F64).dtype(), DType::F64);
        assert_eq!(mask(2, DType::F32).id(), first.id());
    }
}
