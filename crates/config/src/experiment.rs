//! An experiment: what is learnt, by which model, how, and how it's judged.

use std::sync::Arc;

use looped_core::{Baseline, ModelConfig, Task, schemars};
use looped_curriculum::Curriculum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An experiment, resolved: every key has its value.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Names the run, and its directory.
    pub name: String,
    /// Fixes every random number.
    #[serde(default)]
    pub seed: u64,
    /// The source of prompts.
    #[schemars(schema_with = "looped_core::parts::task_schema")]
    pub task: Box<dyn Task>,
    /// The model.
    pub model: Arc<ModelConfig>,
    /// How it's trained.
    pub training: Training,
    /// How it's judged at the end.
    #[serde(default)]
    pub evaluation: EvaluationConfig,
}

/// The `[training]` table.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Prompts in a batch.
    pub batch_size: usize,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// L2 decay, added to the gradient.
    #[serde(default)]
    pub weight_decay: f64,
    /// Steps in all.
    pub train_steps: usize,
    /// How many of the last loops carry gradient.
    pub n_loop_window: usize,
    /// How many of the last loops enter the loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_loss_loops: Option<usize>,
    /// Largest global norm of the gradient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient_clip: Option<f64>,
    /// Steps between two lines of metrics.
    #[serde(default = "ten")]
    pub log_every_steps: usize,
    /// Steps between two checkpoints.
    #[serde(default = "k1")]
    pub save_every_steps: usize,
    /// Steps between two kept checkpoints.
    #[serde(default = "k20")]
    pub keep_every_steps: usize,
    /// Steps between two validation losses.
    #[serde(default = "k1")]
    pub validate_every_steps: usize,
    /// Dims, points and loops over the steps.
    pub curriculum: Curriculum,
}

/// The `[evaluation]` table.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Fresh prompts.
    #[serde(default = "k1")]
    pub prompts: usize,
    /// Loops.
    pub loops: Option<usize>,
    /// Seed of the prompts.
    #[serde(default)]
    pub seed: u64,
    /// Baselines.
    #[serde(default)]
    #[schemars(schema_with = "looped_core::parts::baselines_schema")]
    pub baselines: Vec<Box<dyn Baseline>>,
}

fn ten() -> usize {
    10
}
fn k1() -> usize {
    1000
}
fn k20() -> usize {
    20000
}
