//! A transformer-like block with a state space in attention's place: x + ssm(LN(x)), then x + mlp(LN(x)).

use std::ops::Range;

use candle_core::{Device, Tensor};
use looped_core::fused::FusedBlock;
use looped_core::nn::{LayerNorm, Linear};
use looped_core::{Block, BlockConfig, Init, Memory, ModelDims, Params, Problems, Result, schemars, typetag};
use serde::{Deserialize, Serialize};

use crate::mlp::{Mlp, residual_std};
use crate::recorded;
use crate::ssm_fused::{FusedSsm, MIDDLE_STEP};

/// A diagonal state space and a two-layer network, each after a layer norm and beside a residual path: a transformer
/// block in which attention is replaced by a linear recurrence over the tokens (S4D-Real; Gu et al., arXiv 2206.11893).
///
/// Each of the D = `n_embd` channels has `n_state` states of its own; the one numbered n (from 0) is
/// h = a h + (1 - a) / r * b x, with decay a = exp(-t r), rate r = (n + 1) exp(log_a) and step t = 0.01 exp(log_dt): the
/// zero-order hold of h' = -r h + b x. The channel's output is d x plus the sum of c h. A projection D -> D then mixes the
/// channels; the network is the transformer's. Parameters: `ln_1`; `ssm.log_dt` (D), uniform at first so that t is in
/// 0.001 .. 0.1; `ssm.log_a` (`n_state`, D), 0; `ssm.b` (`n_state`, D), 1; `ssm.c` (`n_state`, D), standard normal; `ssm.d` (D),
/// 1; `ssm.c_proj` (D, D); `ln_2`, `mlp.c_fc`, `mlp.c_proj`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ssm {
    /// States of each channel (at least 1).
    #[serde(default = "eight")]
    #[schemars(range(min = 1, max = 65536))]
    pub n_state: usize,
}

const fn eight() -> usize {
    8
}

/// How far, in factors, steps start from the middle one.
pub(crate) const SPREAD: f64 = 10.0;

#[typetag::serde(name = "ssm")]
impl BlockConfig for Ssm {
    fn validate(&self, _: &ModelDims, problems: &mut Problems) {
        problems.require((1..=65536).contains(&self.n_state), "n_state", || {
            format!("is {}; allowed: 1 to 65536", self.n_state)
        });
    }

    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Result<Box<dyn Block>> {
        let (width, each) = (dims.n_embd, (self.n_state, dims.n_embd));
        let ln_1 = LayerNorm::new(width, &mut params.scope("ln_1"))?;
        let mut ssm = params.scope("ssm");
        let space = StateSpace {
            log_dt: ssm.get("log_dt", width, Init::Uniform { bound: SPREAD.ln() })?,
            log_a: ssm.get("log_a", each, Init::Zeros)?,
            b: ssm.get("b", each, Init::Ones)?,
            c: ssm.get("c", each, Init::Normal { std: 1.0 })?,
            d: ssm.get("d", width, Init::Ones)?,
        };
        let proj = Linear::normal(width, width, residual_std(dims), &mut ssm.scope("c_proj"))?;
        Ok(Box::new(SsmBlock { ln_1, space, proj, mlp: Mlp::new(dims, params)? }))
    }

    fn record(
        &self,
        dims: &ModelDims,
        params: &mut looped_graph::Params<'_>,
    ) -> Option<Box<dyn looped_graph::Block>> {
        Some(Box::new(recorded::Ssm::new(self, dims, params)))
    }

    fn flops(&self, dims: &ModelDims, tokens: Range<usize>) -> u64 {
        let width = dims.n_embd as u64;
        // 9 D^2 weights in products; a state's update (3) and its part of the output (2); the skip.
        let each_token = 2 * 9 * width * width + (5 * self.n_state as u64 + 2) * width;
        each_token * tokens.len() as u64
    }

    fn activations(&self, dims: &ModelDims, tokens: usize) -> u64 {
        // Counted over the operations below: 31 results of width D a token, 5 of all its states.
        ((31 + 5 * self.n_state) * dims.n_embd * tokens) as u64
    }

    fn fused(&self, dims: &ModelDims) -> Option<Box<dyn FusedBlock>> {
        Some(Box::new(FusedSsm { width: dims.n_embd, states: self.n_state }))
    }
}

looped_core::register!(Block, "ssm", Ssm);

struct SsmBlock {
    ln_1: LayerNorm,
    space: StateSpace,
    proj: Linear,
    mlp: Mlp,
}

/// The parameters of the recurrence, as [`Ssm`] describes them.
struct StateSpace {
    log_dt: Tensor,
    log_a: Tensor,
    b: Tensor,
    c: Tensor,
    d: Tensor,
}

impl StateSpace {
    /// How states decay from token to token, and how much of the input they take in, each (`n_state`, width).
    fn discrete(&self) -> Result<(Tensor, Tensor)> {
        let step = (self.log_dt.exp()? * MIDDLE_STEP)?;
        let rate = self.log_a.exp()?.broadcast_mul(&numbers(self.log_a.dim(0)?, self.log_a.device())?)?;
        let lost = rate.broadcast_mul(&step)?;
        let decay = lost.neg()?.exp()?;
        // 1 - decay in a form that doesn't cancel where little is lost: tanh(z / 2) = (1 - e^-z) / (1 + e^-z).
        let gone = ((lost * 0.5)?.tanh()? * (&decay + 1.0)?)?;
        Ok((decay, (gone / rate)?.mul(&self.b)?))
    }

    /// The outputs (batch, tokens, width) from `state` (batch, `n_state`, width) on, and the last state.
    fn run(&self, x: &Tensor, mut state: Tensor) -> Result<(Tensor, Tensor)> {
        let (decay, gain) = self.discrete()?;
        // What the inputs add to the states, for all tokens at once: (batch, tokens, n_state, width).
        let taken_in = x.unsqueeze(2)?.broadcast_mul(&gain)?;
        let tokens = x.dim(1)?;
        let mut states = Vec::with_capacity(tokens);
        for token in 0..tokens {
            state = (state.broadcast_mul(&decay)? + taken_in.narrow(1, token, 1)?.squeeze(1)?)?;
            states.push(state.clone());
        }
        let from_states = Tensor::stack(&states, 1)?.broadcast_mul(&self.c)?.sum(2)?;
        Ok(((from_states + x.broadcast_mul(&self.d)?)?, state))
    }
}

/// 1, 2, ... `count`, as a column.
fn numbers(count: usize, device: &Device) -> Result<Tensor> {
    let numbers: Vec<f32> = (1..=count).map(|n| n as f32).collect();
    Ok(Tensor::from_vec(numbers, (count, 1), device)?)
}

impl SsmBlock {
    /// The block over `x` from `state` on, and the last state.
    fn run(&self, x: &Tensor, state: Tensor) -> Result<(Tensor, Tensor)> {
        let (mixed, state) = self.space.run(&self.ln_1.forward(x)?, state)?;
        Ok((self.mlp.forward(&(x + self.proj.forward(&mixed)?)?)?, state))
    }

    fn at_rest(&self, x: &Tensor) -> Result<Tensor> {
        let (n_state, width) = self.space.c.dims2()?;
        Ok(Tensor::zeros((x.dim(0)?, n_state, width), x.dtype(), x.device())?)
    }
}

impl Block for SsmBlock {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.run(x, self.at_rest(x)?)?.0)
    }

    fn prefill(&self, prefix: &Tensor) -> Result<Option<(Tensor, Memory)>> {
        let (output, state) = self.run(prefix, self.at_rest(prefix)?)?;
        Ok(Some((output, Memory { tensors: vec![state], inner: vec![] })))
    }

    fn extend(&self, suffix: &Tensor, memory: &Memory) -> Result<Tensor> {
        Ok(self.run(suffix, memory.tensors[0].clone())?.0)
    }
}
