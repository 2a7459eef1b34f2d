//! The `[model]` table of an experiment.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use looped_graph::Trace;
use looped_graph::lower::Program;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BlockConfig, Error, Injector, ModelDims, ParamStore, Problems};

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

    /// The part that keeps the model from the fused engine, as in "the block `gru`"; `None` if all have a fused form.
    #[must_use]
    pub fn without_fused_form(&self) -> Option<String> {
        if self.block.fused(&self.dims()).is_none() {
            return Some(format!("the block `{}`", self.block.typetag_name()));
        }
        self.injector.fused().is_none().then(|| format!("the injector `{}`", self.injector.typetag_name()))
    }

    /// The part that keeps the model from the candle engine, as in "the block `llama`": it has a recorded form only.
    #[must_use]
    pub fn without_candle_form(&self) -> Option<String> {
        let block = self.block.build(&self.dims(), &mut ParamStore::outlining().trainable()).err();
        let token = Tensor::zeros((1, 1, self.n_embd), DType::F32, &Device::Cpu);
        let injector = token.ok().and_then(|token| self.injector.initial(&token).err());
        // Another error is told where the model is built.
        block.into_iter().chain(injector).find_map(|error| match error {
            Error::RecordedOnly(part) => Some(part),
            _ => None,
        })
    }

    /// The part that has no recorded form; `None` if all have one.
    #[must_use]
    pub fn without_recorded_form(&self) -> Option<String> {
        let (dims, trace) = (self.dims(), Trace::new());
        if self.block.record(&dims, &mut trace.params().scope("block")).is_none() {
            return Some(format!("the block `{}`", self.block.typetag_name()));
        }
        let injector = self.injector.record(&dims, &mut trace.params().scope("injector"));
        injector.is_none().then(|| format!("the injector `{}`", self.injector.typetag_name()))
    }

    /// What keeps the model from the graph engine, as in "the block `gru` has no recorded form"; `None` if it can run there.
    #[must_use]
    pub fn not_on_graph(&self) -> Option<String> {
        if let Some(part) = self.without_recorded_form() {
            return Some(format!("{part} has no recorded form"));
        }
        match self.graph() {
            Ok(Some(graph)) => Program::refusals(&graph).into_iter().next(),
            Ok(None) => None,
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
