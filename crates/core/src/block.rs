//! What a loop applies: the configs that build blocks.

use std::fmt::Debug;

use looped_graph::{Block, Params};

use crate::{ModelDims, Problems};

/// The config of a block, and its maker. `type` in TOML is the typetag name.
#[typetag::serde(tag = "type")]
pub trait BlockConfig: Debug + Send + Sync {
    /// Reports what can't be built at these sizes; keys are relative to the block's table.
    fn validate(&self, dims: &ModelDims, problems: &mut Problems) {
        let _ = (dims, problems);
    }

    /// Builds the block, its parameters named below `params`' prefix.
    ///
    /// It maps rows of `dims.n_embd` numbers to rows as wide. A mistake, as a product of other widths, is an error with the place in the code
    /// when the model is recorded ([`ModelConfig::graph`](crate::ModelConfig::graph)).
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Block>;

    /// Whether a token's output depends on that token and earlier ones only. A block that isn't causal is refused for tasks whose
    /// targets stand in the prompt.
    fn is_causal(&self) -> bool {
        true
    }
}
