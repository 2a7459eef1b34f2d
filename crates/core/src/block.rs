//! What a loop applies: blocks, and the configs that build them.

use std::fmt::Debug;
use std::ops::Range;

use candle_core::Tensor;

use crate::fused::FusedBlock;
use crate::{Error, ModelDims, Params, Problems, Result, recorded};

/// A causal, shape-preserving map of token states, stateless between loops.
///
/// Causal: the output at a token depends on that token and earlier ones only.
pub trait Block: Send + Sync {
    /// Applies the block.
    ///
    /// # Shapes
    /// `x` and the result are (batch, tokens, width).
    ///
    /// # Errors
    /// If a tensor operation fails.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;

    /// The outputs of the first tokens, and what the later ones need of them (a KV cache, or a recurrent state).
    ///
    /// `None` if the block can't be split; then every loop runs over all tokens.
    ///
    /// # Errors
    /// If a tensor operation fails.
    fn prefill(&self, prefix: &Tensor) -> Result<Option<(Tensor, Memory)>> {
        let _ = prefix;
        Ok(None)
    }

    /// The outputs of the tokens after a prefix: the same as those of [`Block::forward`] over both together.
    ///
    /// # Errors
    /// If a tensor operation fails, or the block can't be split.
    fn extend(&self, suffix: &Tensor, memory: &Memory) -> Result<Tensor> {
        let _ = (suffix, memory);
        Err(Error::Parameters("this block gave a memory but doesn't extend it".into()))
    }
}

/// What a block keeps of a prefix for the tokens after it.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The block's own tensors; their meaning is the block's.
    pub tensors: Vec<Tensor>,
    /// The memories of the blocks inside a composite one.
    pub inner: Vec<Memory>,
}

/// The config of a block, and its maker. `type` in TOML is the typetag name.
#[typetag::serde(tag = "type")]
pub trait BlockConfig: Debug + Send + Sync {
    /// Reports what can't be built at these sizes; keys are relative to the block's table.
    fn validate(&self, dims: &ModelDims, problems: &mut Problems) {
        let _ = (dims, problems);
    }

    /// Builds the block, its parameters named below `params`' prefix.
    ///
    /// Called several times for one model: for its outline (shapes alone), with gradients, and without. So it asks for
    /// parameters and computes nothing from them: what is computed here misses every later update.
    ///
    /// A block that has a recorded form only leaves this out: see [`BlockConfig::record`].
    ///
    /// # Errors
    /// If a parameter can't be made or found, or the block has no candle form.
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Result<Box<dyn Block>> {
        let _ = (dims, params);
        Err(Error::RecordedOnly(format!("the block `{}`", self.typetag_name())))
    }

    /// Makes the block's recorded form, which every engine can run, its parameters named below `params`' prefix.
    ///
    /// `None` is a block written for candle alone.
    fn record(
        &self,
        dims: &ModelDims,
        params: &mut looped_graph::Params<'_>,
    ) -> Option<Box<dyn looped_graph::Block>> {
        let _ = (dims, params);
        None
    }

    /// Floating-point operations of a forward pass over the given tokens of one sequence, the earlier ones being
    /// known; a product of (m, k) and (k, n) counts 2mkn. Unless said otherwise, those of the recorded form; none, if there is none.
    fn flops(&self, dims: &ModelDims, tokens: Range<usize>) -> u64 {
        recorded::flops(|params| self.record(dims, params), dims.n_embd, tokens)
    }

    /// Whether a token's output depends on that token and earlier ones only. A block that isn't causal is refused for tasks whose
    /// targets stand in the prompt.
    fn is_causal(&self) -> bool {
        true
    }

    /// Numbers that the candle engine keeps for the backward pass of one sequence through the block; an estimate, for
    /// `looped check`.
    fn activations(&self, dims: &ModelDims, tokens: usize) -> u64 {
        32 * dims.n_embd as u64 * tokens as u64
    }

    /// The block's form for the fused CPU engine, if it has one.
    fn fused(&self, dims: &ModelDims) -> Option<Box<dyn FusedBlock>> {
        let _ = dims;
        None
    }
}
