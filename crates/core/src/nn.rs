//! The layers that every model has, from candle operations whose gradients are known.
//!
//! candle's own `LayerNorm` and `softmax_last_dim` run fused kernels without a backward pass: a graph through them
//! trains, wrongly and without a word. What stands here is composed of differentiable operations on any device.

use candle_core::{D, Module, Tensor};

use crate::{Init, Params, Result};

/// Added to the variance in every layer norm.
pub const LAYER_NORM_EPS: f64 = 1e-5;

/// y = x W^T + b, with W (out, in).
#[derive(Clone, Debug)]
pub struct Linear(candle_nn::Linear);

impl Linear {
    /// `weight` (out, in) from `init` and `bias` (out) from `bias_init`, below `params`' prefix.
    ///
    /// # Errors
    /// If a parameter exists with another shape.
    pub fn new(
        inputs: usize,
        outputs: usize,
        init: Init,
        bias_init: Init,
        params: &mut Params<'_>,
    ) -> Result<Self> {
        let weight = params.get("weight", (outputs, inputs), init)?;
        let bias = params.get("bias", outputs, bias_init)?;
        Ok(Self(candle_nn::Linear::new(weight, Some(bias))))
    }

    /// Initialised as PyTorch's `nn.Linear`: weight and bias uniform in +-1/sqrt(inputs).
    ///
    /// # Errors
    /// If a parameter exists with another shape.
    pub fn uniform(inputs: usize, outputs: usize, params: &mut Params<'_>) -> Result<Self> {
        let init = Init::Uniform { bound: 1.0 / (inputs as f64).sqrt() };
        Self::new(inputs, outputs, init, init, params)
    }

    /// Initialised as in GPT-2: weight normal, bias 0.
    ///
    /// # Errors
    /// If a parameter exists with another shape.
    pub fn normal(inputs: usize, outputs: usize, std: f64, params: &mut Params<'_>) -> Result<Self> {
        Self::new(inputs, outputs, Init::Normal { std }, Init::Zeros, params)
    }

    /// # Shapes
    /// `x` (batch, tokens, in), result (batch, tokens, out).
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.0.forward(x)?)
    }
}

/// Layer normalisation over the last axis, with weight and bias (eps 1e-5).
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    /// `weight` (1 at first) and `bias` (0) of `width`, below `params`' prefix.
    ///
    /// # Errors
    /// If a parameter exists with another shape.
    pub fn new(width: usize, params: &mut Params<'_>) -> Result<Self> {
        Ok(Self {
            weight: params.get("weight", width, Init::Ones)?,
            bias: params.get("bias", width, Init::Zeros)?,
        })
    }

    /// # Shapes
    /// `x` and the result are (..., width).
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normal = centred.broadcast_div(&(variance + LAYER_NORM_EPS)?.sqrt()?)?;
        Ok(normal.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)?)
    }
}

/// Softmax over the last axis, differentiable.
///
/// # Errors
/// If a tensor operation fails.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    // A shift doesn't change a softmax, so the maximum needs no gradient.
    let shifted = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?;
    let exp = shifted.exp()?;
    Ok(exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?)
}
