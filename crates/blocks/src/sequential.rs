//! Several blocks, one after another, as one.

use looped_core::graph::{At, Value};
use looped_core::{Block, BlockConfig, ModelDims, Params, Problems, schemars, typetag};
use serde::{Deserialize, Serialize};

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

    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Block> {
        let blocks = self.blocks.iter().enumerate().map(|(j, block)| block.build(dims, &mut params.scope(j)));
        Box::new(SequentialBlock { blocks: blocks.collect() })
    }

    fn is_causal(&self) -> bool {
        self.blocks.iter().all(|block| block.is_causal())
    }
}

looped_core::register!(Block, "sequential", Sequential);

struct SequentialBlock {
    blocks: Vec<Box<dyn Block>>,
}

impl Block for SequentialBlock {
    fn forward<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t> {
        self.blocks.iter().enumerate().fold(x, |x, (j, block)| at.scope(j, || block.forward(x, at)))
    }
}
