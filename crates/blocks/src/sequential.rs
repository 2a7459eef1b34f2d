//! Several blocks, one after another, as one.

use std::ops::Range;

use candle_core::Tensor;
use looped_core::fused::FusedBlock;
use looped_core::{Block, BlockConfig, Memory, ModelDims, Params, Problems, Result, schemars, typetag};
use serde::{Deserialize, Serialize};

use crate::{recorded, sequential_fused};

/// A list of blocks, applied one after another: a mixed stack in one loop.
///
/// The parameters of the j-th inner block (from 0) are named below `j`.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sequential {
    /// The blocks, in order; at least one.
    #[schemars(schema_with = "looped_core::parts::blocks_schema")]
    pub blocks: Vec<Box<dyn BlockConfig>>,
}

#[typetag::serde(name = "sequential")]
impl BlockConfig for Sequential {
    fn validate(&self, dims: &ModelDims, problems: &mut Problems) {
        problems.require(!self.blocks.is_empty(), "blocks", || "is empty; name at least one block".into());
        problems.within("blocks", |problems| {
            for (j, block) in self.blocks.iter().enumerate() {
                problems.within(j.to_string(), |problems| block.validate(dims, problems));
            }
        });
    }

    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Result<Box<dyn Block>> {
        let blocks = self.blocks.iter().enumerate().map(|(j, block)| block.build(dims, &mut params.scope(j)));
        Ok(Box::new(SequentialBlock { blocks: blocks.collect::<Result<_>>()? }))
    }

    fn record(
        &self,
        dims: &ModelDims,
        params: &mut looped_graph::Params<'_>,
    ) -> Option<Box<dyn looped_graph::Block>> {
        Some(Box::new(recorded::Sequential::new(&self.blocks, dims, params)?))
    }

    fn flops(&self, dims: &ModelDims, tokens: Range<usize>) -> u64 {
        self.blocks.iter().map(|block| block.flops(dims, tokens.clone())).sum()
    }

    fn activations(&self, dims: &ModelDims, tokens: usize) -> u64 {
        self.blocks.iter().map(|block| block.activations(dims, tokens)).sum()
    }

    fn is_causal(&self) -> bool {
        self.blocks.iter().all(|block| block.is_causal())
    }

    fn fused(&self, dims: &ModelDims) -> Option<Box<dyn FusedBlock>> {
        sequential_fused::fused(&self.blocks, dims)
    }
}

looped_core::register!(Block, "sequential", Sequential);

struct SequentialBlock {
    blocks: Vec<Box<dyn Block>>,
}

impl Block for SequentialBlock {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.blocks.iter().try_fold(x.clone(), |x, block| block.forward(&x))
    }

    fn prefill(&self, prefix: &Tensor) -> Result<Option<(Tensor, Memory)>> {
        let (mut x, mut inner) = (prefix.clone(), Vec::with_capacity(self.blocks.len()));
        for block in &self.blocks {
            let Some((output, memory)) = block.prefill(&x)? else { return Ok(None) };
            inner.push(memory);
            x = output;
        }
        Ok(Some((x, Memory { tensors: vec![], inner })))
    }

    fn extend(&self, suffix: &Tensor, memory: &Memory) -> Result<Tensor> {
        self.blocks
            .iter()
            .zip(&memory.inner)
            .try_fold(suffix.clone(), |x, (block, memory)| block.extend(&x, memory))
    }
}
