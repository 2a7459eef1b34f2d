//! Handles of the layers that most blocks are made of: which parameters, and how they start.

use crate::{Init, Param, Params};

/// y = x W^T + b, with W (out, in).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    /// (out, inputs)
    pub weight: Param,
    /// (out)
    pub bias: Option<Param>,
    /// Numbers in a row that it takes.
    pub inputs: usize,
    /// Numbers in a row that it gives.
    pub out: usize,
    /// Whether its products stay in f32 whatever `training.precision` says.
    pub exact: bool,
}

impl Linear {
    /// `weight` from `init` and `bias` from `bias_init`, below `params`' prefix.
    #[track_caller]
    pub fn new(inputs: usize, out: usize, init: Init, bias_init: Init, params: &mut Params<'_>) -> Self {
        let weight = params.get("weight", [out, inputs], init);
        let bias = Some(params.get("bias", [out], bias_init));
        Self { weight, bias, inputs, out, exact: false }
    }

    /// Initialised as PyTorch's `nn.Linear`: weight and bias uniform in +-1/sqrt(inputs).
    #[track_caller]
    pub fn uniform(inputs: usize, out: usize, params: &mut Params<'_>) -> Self {
        let init = Init::Uniform { bound: 1.0 / (inputs as f64).sqrt() };
        Self::new(inputs, out, init, init, params)
    }

    /// Initialised as in GPT-2: weight normal, bias 0.
    #[track_caller]
    pub fn normal(inputs: usize, out: usize, std: f64, params: &mut Params<'_>) -> Self {
        Self::new(inputs, out, Init::Normal { std }, Init::Zeros, params)
    }

    /// Without a bias; the weight is normal.
    #[track_caller]
    pub fn without_bias(inputs: usize, out: usize, std: f64, params: &mut Params<'_>) -> Self {
        let weight = params.get("weight", [out, inputs], Init::Normal { std });
        Self { weight, bias: None, inputs, out, exact: false }
    }

    /// From parameters with names of their own.
    #[must_use]
    pub const fn of(weight: Param, bias: Option<Param>, inputs: usize, out: usize) -> Self {
        Self { weight, bias, inputs, out, exact: false }
    }

    /// The same layer with its products in f32 always.
    #[must_use]
    pub const fn exact(self) -> Self {
        Self { exact: true, ..self }
    }
}

/// Which statistics a norm divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// Mean 0 and variance 1, then weight and bias.
    Layer,
    /// Mean square 1, then weight.
    Rms,
}

/// Added to the variance, or to the mean square.
pub(crate) const NORM_EPS: f64 = 1e-5;

/// A norm over groups of neighbouring columns; usually one group, the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Norm {
    /// Which.
    pub kind: NormKind,
    /// (width of a group)
    pub weight: Param,
    /// (width of a group), for a layer norm.
    pub bias: Option<Param>,
    /// Numbers in a row.
    pub width: usize,
    /// How many groups a row has, normed apart by the same weight.
    pub groups: usize,
}

impl Norm {
    /// A layer norm: `weight` (1 at first) and `bias` (0), below `params`' prefix.
    #[track_caller]
    pub fn layer(width: usize, params: &mut Params<'_>) -> Self {
        let weight = params.get("weight", [width], Init::Ones);
        let bias = Some(params.get("bias", [width], Init::Zeros));
        Self { kind: NormKind::Layer, weight, bias, width, groups: 1 }
    }

    /// A root-mean-square norm: `weight` (1 at first), below `params`' prefix.
    #[track_caller]
    pub fn rms(width: usize, params: &mut Params<'_>) -> Self {
        Self::rms_of_groups(width, 1, params)
    }

    /// A root-mean-square norm of each of `groups` parts of a row, as of each head's queries.
    #[track_caller]
    pub fn rms_of_groups(width: usize, groups: usize, params: &mut Params<'_>) -> Self {
        let weight = params.get("weight", [width / groups.max(1)], Init::Ones);
        Self { kind: NormKind::Rms, weight, bias: None, width, groups }
    }
}

/// How attention divides a row of queries, keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// How many heads.
    pub heads: usize,
    /// Whether a token sees only itself and those before it.
    pub causal: bool,
}

impl Heads {
    /// Causal attention of so many heads.
    #[must_use]
    pub const fn causal(heads: usize) -> Self {
        Self { heads, causal: true }
    }

    /// Attention of so many heads in which every token sees all.
    #[must_use]
    pub const fn all(heads: usize) -> Self {
        Self { heads, causal: false }
    }
}
