//! The `[model]` table of an experiment.

use std::path::PathBuf;

use looped_graph::lower::Program;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BlockConfig, Injector, ModelDims, Problems};

/// A looped model: its sizes, its block and what flows from loop to loop.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Width of x.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub n_dims: usize,
    /// Most points a prompt may have.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub n_positions: usize,
    /// Width of the state.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub n_embd: usize,
    /// Blocks in one loop.
    #[schemars(range(min = 1, max = 10_000))]
    pub n_layer: usize,
    /// Parameters to start from: a `.pt` or `.safetensors` file with this model's names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "path"))]
    pub pretrained_path: Option<PathBuf>,
    /// The block, applied `n_layer` times in a loop, each with parameters of its own.
    #[schemars(schema_with = "crate::parts::block_schema")]
    pub block: Box<dyn BlockConfig>,
    /// What flows from loop to loop.
    #[schemars(schema_with = "crate::parts::injector_schema")]
    pub injector: Box<dyn Injector>,
}

impl ModelConfig {
    /// The sizes.
    #[must_use]
    pub const fn dims(&self) -> ModelDims {
        ModelDims {
            n_dims: self.n_dims,
            n_positions: self.n_positions,
            n_embd: self.n_embd,
            n_layer: self.n_layer,
        }
    }

    /// What keeps the model from the fused engine, with the operation and its place in the code; `None` if it can run there.
    #[must_use]
    pub fn not_fused(&self) -> Option<String> {
        match self.graph() {
            Ok(graph) => Program::refusals(&graph).into_iter().next(),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Reports what the block and the injector can't do at these sizes.
    pub fn validate(&self, problems: &mut Problems) {
        let dims = self.dims();
        problems.within("block", |p| self.block.validate(&dims, p));
        problems.within("injector", |p| self.injector.validate(&dims, p));
    }
}
