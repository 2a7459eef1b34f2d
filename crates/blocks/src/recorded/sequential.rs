//! Several blocks, one after another, as one.

use looped_core::{BlockConfig, ModelDims};
use looped_graph::{At, Block, Params, Value};

pub(crate) struct Sequential {
    blocks: Vec<Box<dyn Block>>,
}

impl Sequential {
    /// `None` if one of the blocks has no recorded form.
    pub(crate) fn new(
        configs: &[Box<dyn BlockConfig>],
        dims: &ModelDims,
        params: &Params<'_>,
    ) -> Option<Self> {
        let blocks = configs.iter().enumerate().map(|(j, block)| block.record(dims, &mut params.scope(j)));
        Some(Self { blocks: blocks.collect::<Option<_>>()? })
    }
}

impl Block for Sequential {
    fn forward<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t> {
        self.blocks.iter().enumerate().fold(x, |x, (j, block)| at.scope(j, || block.forward(x, at)))
    }
}
