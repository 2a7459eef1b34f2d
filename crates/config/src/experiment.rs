//! The experiment file: what is learnt, by which model, how it's trained and how it's judged.

use std::sync::Arc;

use looped_core::{
    Baseline, Depth, LoopLoss, ModelConfig, Optimizer, Precision, Regularizer, Rng, Schedule, Task, Unroll,
};
use looped_curriculum::{Curriculum, Stage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An experiment: every key has its value.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Names the run and its folder.
    pub name: String,
    /// Fixes every random number: parameters, prompts, all.
    #[serde(default)]
    pub seed: u64,
    /// Where prompts come from.
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

impl Experiment {
    /// What a step, counted from 0, is made at: the curriculum's stage, with the loops that the depth draws for it; where it draws for each prompt,
    /// the most of them.
    ///
    /// It depends on the seed and the step alone.
    #[must_use]
    pub fn stage(&self, step: usize) -> Stage {
        let stage = self.training.curriculum.at(step);
        let Some(depth) = &self.training.depth else { return stage };
        let loops = match self.depths(step) {
            Some(depths) => depths.into_iter().max().unwrap_or(1),
            None => depth.draw(stage.loops, &mut Rng::stream(self.seed, "training depth", step as u64)),
        };
        Stage { loops, ..stage }
    }

    /// How often each of a step's prompts loops, where that is drawn for each.
    #[must_use]
    pub fn depths(&self, step: usize) -> Option<Vec<usize>> {
        let depth = self.training.depth.as_ref().filter(|_| self.training.depth_per_prompt)?;
        let ramp = self.training.curriculum.at(step).loops;
        let rng = Rng::stream(self.seed, "training depth", step as u64);
        let of = |prompt: usize| depth.draw(ramp, &mut rng.fork(prompt as u64));
        Some((0..self.training.batch_size).map(of).collect())
    }
}

/// How a model is trained.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Prompts in a batch.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub batch_size: usize,
    /// The optimiser's learning rate, which its schedule multiplies.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1000))]
    pub learning_rate: f64,
    /// L2 decay: this times a parameter is added to its gradient; `adam` alone takes it.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub weight_decay: f64,
    /// Steps in all.
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
    pub train_steps: usize,
    /// How many of the last loops carry gradient, at most; where a step has fewer loops, all do.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub n_loop_window: usize,
    /// How many of the last loops enter the loss `uniform`; not given: all that carry gradient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub n_loss_loops: Option<usize>,
    /// How many of a prompt's last queries enter the loss in training; not given: all. The validation loss is of all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub n_loss_queries: Option<usize>,
    /// Largest norm of all gradients together, which are scaled down to it; not given: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub gradient_clip: Option<f64>,
    /// How many steps in a row may have a loss or a gradient that isn't finite: they change nothing and are counted. 0 stops at the first.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub skip_non_finite: usize,
    /// Decay of an average of the weights over the steps, which is evaluated and saved beside them; not given: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub ema: Option<f64>,
    /// What computes a step.
    #[serde(default)]
    #[schemars(schema_with = "looped_core::engine_schema")]
    pub engine: EngineName,
    /// Precision of the blocks' matrix products, in training and prediction; parameters stay f32.
    #[serde(default)]
    pub precision: Precision,
    /// Threads that a run computes with; not given: one a core. Results are equal bit for bit for one thread count. (In a
    /// library, candle and the evaluation follow the environment variable RAYON_NUM_THREADS.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub threads: Option<usize>,
    /// Processes that train the model together, each with its part of every batch: those that `mpirun -n` starts.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub ranks: usize,
    /// Steps from one line of metrics to the next.
    #[serde(default = "log_every_steps")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
    pub log_every_steps: usize,
    /// Steps from one checkpoint to the next; only the last two are there.
    #[serde(default = "save_every_steps")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
    pub save_every_steps: usize,
    /// Steps from one checkpoint that is kept for good to the next; 0 keeps none.
    #[serde(default = "keep_every_steps")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub keep_every_steps: usize,
    /// Steps from one validation loss to the next.
    #[serde(default = "validate_every_steps")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
    pub validate_every_steps: usize,
    /// How parameters move along their gradients; not given: `adam`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "looped_core::parts::optimizer_schema")]
    pub optimizer: Option<Arc<dyn Optimizer>>,
    /// The learning rate over the steps; not given: `constant`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "looped_core::parts::schedule_schema")]
    pub schedule: Option<Arc<dyn Schedule>>,
    /// How the loops of a step are drawn; not given: `ramp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "looped_core::parts::depth_schema")]
    pub depth: Option<Arc<dyn Depth>>,
    /// Whether the depth is drawn for each prompt of a step by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub depth_per_prompt: bool,
    /// Which of a step's loops carry gradient, and how; not given: `last`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "looped_core::parts::unroll_schema")]
    pub unroll: Option<Arc<dyn Unroll>>,
    /// Which loops' predictions enter the loss; not given: `uniform`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "looped_core::parts::loss_schema")]
    pub loss: Option<Arc<dyn LoopLoss>>,
    /// What is added to the loss.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "looped_core::parts::regularizers_schema")]
    pub regularizers: Vec<Arc<dyn Regularizer>>,
    /// Coordinates, points and loops over the steps.
    pub curriculum: Curriculum,
}

impl Training {
    /// The most loops of a step.
    #[must_use]
    pub fn most_loops(&self) -> usize {
        let ramp = self.last_ramp();
        self.depth.as_ref().map_or(ramp, |depth| depth.most(ramp))
    }

    /// The loops at which the model is validated and evaluated, unless `evaluation.loops` says otherwise: the curriculum's last, or
    /// what the depth says.
    #[must_use]
    pub fn usual_loops(&self) -> usize {
        let ramp = self.last_ramp();
        self.depth.as_ref().map_or(ramp, |depth| depth.usual(ramp))
    }

    /// The loops of a step at the curriculum's end, the mean over what may be drawn, rounded.
    #[must_use]
    pub fn mean_loops(&self) -> usize {
        let ramp = self.last_ramp();
        self.depth.as_ref().map_or(ramp, |depth| depth.mean(ramp, &|loops| loops as f64).round() as usize)
    }

    /// Whether the loops are the curriculum's.
    #[must_use]
    pub fn follows_curriculum(&self) -> bool {
        self.depth.as_ref().is_none_or(|depth| depth.follows_curriculum())
    }

    fn last_ramp(&self) -> usize {
        self.curriculum.loops.map_or(1, |ramp| ramp.end)
    }

    /// The learning rate of a step, counted from 0.
    #[must_use]
    pub fn learning_rate_at(&self, step: usize) -> f64 {
        let factor = self.schedule.as_ref().map_or(1.0, |schedule| schedule.factor(step, self.train_steps));
        self.learning_rate * factor
    }
}

const fn is_zero(count: &usize) -> bool {
    *count == 0
}

const fn one() -> usize {
    1
}

const fn is_one(count: &usize) -> bool {
    *count == 1
}

const fn log_every_steps() -> usize {
    10
}

const fn save_every_steps() -> usize {
    1000
}

const fn keep_every_steps() -> usize {
    20_000
}

const fn validate_every_steps() -> usize {
    500
}

/// What `training.engine` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum EngineName {
    /// `auto`: `fused` where it runs and can take the model, else `candle`.
    #[default]
    Auto,
    /// An [`Engine`](looped_core::Engine) that is registered by this name, or one that stands for it.
    Named(String),
}

impl EngineName {
    /// The engine of hand-written kernels: the CPU's, or the one that stands for it on another device.
    pub const FUSED: &str = "fused";
    /// candle's operations, which run every model.
    pub const CANDLE: &str = "candle";
}

impl From<String> for EngineName {
    fn from(name: String) -> Self {
        if name == "auto" { Self::Auto } else { Self::Named(name) }
    }
}

impl From<EngineName> for String {
    fn from(name: EngineName) -> Self {
        match name {
            EngineName::Auto => "auto".to_owned(),
            EngineName::Named(name) => name,
        }
    }
}

/// How a trained model is judged: error per number of in-context examples, beside baselines.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Fresh prompts to score.
    #[serde(default = "prompts")]
    #[schemars(range(min = 2, max = 100_000_000))]
    pub prompts: usize,
    /// Loops of the model; not given: the curriculum's last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub loops: Option<usize>,
    /// Fixes the prompts, whatever the experiment's seed is.
    #[serde(default = "evaluation_seed")]
    pub seed: u64,
    /// Estimators to set beside the model.
    #[serde(default = "baselines")]
    #[schemars(schema_with = "looped_core::parts::baselines_schema")]
    pub baselines: Vec<Box<dyn Baseline>>,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self { prompts: prompts(), loops: None, seed: evaluation_seed(), baselines: baselines() }
    }
}

const fn prompts() -> usize {
    1280
}

const fn evaluation_seed() -> u64 {
    1
}

/// Least squares, averaging and 3 nearest neighbours, as far as they are linked into the program.
fn baselines() -> Vec<Box<dyn Baseline>> {
    let tables = [r#"{"type":"least_squares"}"#, r#"{"type":"averaging"}"#, r#"{"type":"knn","k":3}"#];
    tables.iter().filter_map(|table| serde_json::from_str(table).ok()).collect()
}
