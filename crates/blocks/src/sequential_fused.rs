//! Blocks one after another, without a graph.

use looped_core::fused::{Chain, FusedBlock};
use looped_core::{BlockConfig, ModelDims};

/// The chain of the blocks' fused forms, if all have one.
pub(crate) fn fused(blocks: &[Box<dyn BlockConfig>], dims: &ModelDims) -> Option<Box<dyn FusedBlock>> {
    let mut links = Vec::with_capacity(blocks.len());
    for (j, block) in blocks.iter().enumerate() {
        links.push((j.to_string(), block.fused(dims)?));
    }
    Some(Box::new(Chain::new(links, dims.n_embd)))
}
