//! The keys of the published form, as far as their values matter.

use std::collections::BTreeMap;

use looped_curriculum::Ramp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Anything;

/// A published file, with those it inherits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Published {
    pub(super) model: Model,
    pub(super) training: Training,
    pub(super) seed: Option<u64>,
    pub(super) wandb: Option<Wandb>,
    pub(super) gpu: Option<Anything>,
    pub(super) out_dir: Option<Anything>,
    pub(super) debug_mode: Option<Anything>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    pub(super) family: Family,
    pub(super) n_embd: usize,
    pub(super) n_layer: usize,
    pub(super) n_head: usize,
    pub(super) n_dims: usize,
    pub(super) n_positions: usize,
    pub(super) loop_func: Option<LoopFunc>,
    pub(super) n_last_tokens: Option<i64>,
    pub(super) use_lstm_layer: Option<bool>,
    #[schemars(extend("format" = "path"))]
    pub(super) pretrained_path: Option<String>,
    pub(super) pred_type: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Family {
    Gpt2,
    Gpt2Tying,
    Gpt2Loop,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub(super) enum LoopFunc {
    #[default]
    #[serde(rename = "z=f(x+z)")]
    Add,
    #[serde(rename = "z=f(x*z)")]
    Multiply,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Training {
    pub(super) task_name: String,
    pub(super) curriculum: Curriculum,
    pub(super) seed: Option<u64>,
    pub(super) batch_size: Option<usize>,
    pub(super) learning_rate: Option<f64>,
    pub(super) weight_decay: Option<f64>,
    pub(super) train_steps: Option<usize>,
    pub(super) save_every_steps: Option<usize>,
    #[schemars(range(min = -1))]
    pub(super) keep_every_steps: Option<i64>,
    pub(super) n_loop_window: Option<usize>,
    pub(super) sparsity: Option<usize>,
    pub(super) use_fixed_dataset: Option<bool>,
    pub(super) use_ctx: Option<bool>,
    pub(super) add_inputs_embeds: Option<bool>,
    pub(super) resume_id: Option<Anything>,
    pub(super) train_size: Option<usize>,
    pub(super) test_size: Option<Anything>,
    pub(super) test_idx: Option<Anything>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Curriculum {
    pub(super) dims: Ramp,
    pub(super) points: Ramp,
    /// The families without a loop need none.
    pub(super) loops: Option<Ramp>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct Wandb {
    pub(super) name: Option<String>,
    pub(super) log_every_steps: Option<usize>,
    #[serde(flatten)]
    pub(super) others: BTreeMap<String, Anything>,
}
