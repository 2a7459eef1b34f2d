//! An LSTM layer over the tokens, in a transformer block's place.

use std::ops::Range;

use candle_core::Tensor;
use looped_core::fused::FusedBlock;
use looped_core::{Block, BlockConfig, Init, Memory, ModelDims, Params, Result, schemars, typetag};
use serde::{Deserialize, Serialize};

use crate::lstm_fused::FusedLstm;
use crate::recorded;

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
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Result<Box<dyn Block>> {
        let width = dims.n_embd;
        let init = Init::Uniform { bound: 1.0 / (width as f64).sqrt() };
        Ok(Box::new(LstmBlock {
            weight_ih: params.get("weight_ih_l0", (4 * width, width), init)?,
            weight_hh: params.get("weight_hh_l0", (4 * width, width), init)?,
            bias_ih: params.get("bias_ih_l0", 4 * width, init)?,
            bias_hh: params.get("bias_hh_l0", 4 * width, init)?,
        }))
    }

    fn record(
        &self,
        dims: &ModelDims,
        params: &mut looped_graph::Params<'_>,
    ) -> Option<Box<dyn looped_graph::Block>> {
        Some(Box::new(recorded::Lstm::new(dims, params)))
    }

    fn flops(&self, dims: &ModelDims, tokens: Range<usize>) -> u64 {
        let width = dims.n_embd as u64;
        2 * 8 * width * width * tokens.len() as u64
    }

    fn activations(&self, dims: &ModelDims, tokens: usize) -> u64 {
        // Counted over the operations below: the gates' inputs twice and sums (16 D), the four gates (11 D), the cell.
        36 * dims.n_embd as u64 * tokens as u64
    }

    fn fused(&self, dims: &ModelDims) -> Option<Box<dyn FusedBlock>> {
        Some(Box::new(FusedLstm { width: dims.n_embd }))
    }
}

looped_core::register!(Block, "lstm", Lstm);

struct LstmBlock {
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor,
    bias_hh: Tensor,
}

/// The recurrent state: hidden and cell, each (batch, width).
struct State {
    hidden: Tensor,
    cell: Tensor,
}

impl LstmBlock {
    /// The hidden states (batch, tokens, width) from `state` on, and the last state.
    fn run(&self, x: &Tensor, mut state: State) -> Result<(Tensor, State)> {
        let (batch, tokens, width) = x.dims3()?;
        let bias = (&self.bias_ih + &self.bias_hh)?;
        // What the inputs add to the gates, for all tokens in one product.
        let from_input =
            x.reshape((batch * tokens, width))?.matmul(&self.weight_ih.t()?)?.broadcast_add(&bias)?;
        let from_input = from_input.reshape((batch, tokens, 4 * width))?;
        let recurrent = self.weight_hh.t()?;
        let mut outputs = Vec::with_capacity(tokens);
        for token in 0..tokens {
            let gates = (from_input.narrow(1, token, 1)?.squeeze(1)? + state.hidden.matmul(&recurrent)?)?;
            let gate = |i: usize| gates.narrow(1, i * width, width);
            let (input, forget, output) = (sigmoid(&gate(0)?)?, sigmoid(&gate(1)?)?, sigmoid(&gate(3)?)?);
            let cell = ((forget * &state.cell)? + (input * gate(2)?.tanh()?)?)?;
            let hidden = (output * cell.tanh()?)?;
            outputs.push(hidden.clone());
            state = State { hidden, cell };
        }
        Ok((Tensor::stack(&outputs, 1)?, state))
    }

    fn at_rest(x: &Tensor) -> Result<State> {
        let zero = x.narrow(1, 0, 1)?.squeeze(1)?.zeros_like()?;
        Ok(State { hidden: zero.clone(), cell: zero })
    }
}

/// The logistic function by tanh, which candle differentiates on every device.
fn sigmoid(x: &Tensor) -> Result<Tensor> {
    Ok((((x * 0.5)?.tanh()? + 1.0)? * 0.5)?)
}

impl Block for LstmBlock {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.run(x, Self::at_rest(x)?)?.0)
    }

    fn prefill(&self, prefix: &Tensor) -> Result<Option<(Tensor, Memory)>> {
        let (output, State { hidden, cell }) = self.run(prefix, Self::at_rest(prefix)?)?;
        Ok(Some((output, Memory { tensors: vec![hidden, cell], inner: vec![] })))
    }

    fn extend(&self, suffix: &Tensor, memory: &Memory) -> Result<Tensor> {
        let state = State { hidden: memory.tensors[0].clone(), cell: memory.tensors[1].clone() };
        Ok(self.run(suffix, state)?.0)
    }
}
