//! A row of a table for each loop.

use looped_core::graph::{At, Param, Value};
use looped_core::{Block, BlockConfig, Init, ModelDims, Params, Problems, schemars, typetag};
use serde::{Deserialize, Serialize};

use crate::mlp::STD;

/// Adds a row of a table to every token, another one in each loop: so the blocks after it can tell the loops apart.
///
/// It stands in a `sequential`, before the blocks that are to know: [`Sequential`](crate::Sequential). The table is the parameter `weight`,
/// (`loops`, D), normal with standard deviation 0.02 at first. Loops beyond the table get its last row.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoopEmbedding {
    /// Rows of the table: loops that are told apart.
    #[schemars(range(min = 1, max = 65536))]
    pub loops: usize,
}

#[typetag::serde(name = "loop_embedding")]
impl BlockConfig for LoopEmbedding {
    fn validate(&self, _: &ModelDims, problems: &mut Problems) {
        problems.require((1..=65536).contains(&self.loops), "loops", || {
            format!("is {}; allowed: 1 to 65536", self.loops)
        });
    }

    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Block> {
        Box::new(Rows(params.get("weight", [self.loops, dims.n_embd], Init::Normal { std: STD })))
    }
}

looped_core::register!(Block, "loop_embedding", LoopEmbedding);

struct Rows(Param);

impl Block for Rows {
    fn forward<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t> {
        x + at.by_loop(self.0)
    }
}
