//! What a program that trains, scores and asks a model needs; the rest has its path.

pub use looped_config::Experiment;
pub use looped_core::{
    Device, LoopPlan, Objective, Predictions, Predictor, Prompts, Request, Rng, Split, Task, Tensor,
};
pub use looped_curriculum::{Curriculum, Ramp, Stage};
pub use looped_eval::{EvalPlan, Evaluation, evaluate, linear_baselines};
pub use looped_train::{Adam, AdamW, Model, Muon, StepPlan, Trainer, Updater, clip, global_norm};
