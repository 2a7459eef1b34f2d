//! Looped models: a small stack of blocks, applied again and again to its own state and the embedded prompt, learns in
//! context to solve regression problems as an iterative solver would (Yang et al., *Looped Transformers are Better at
//! Learning Learning Algorithms*, arXiv 2311.12424).
//!
//! A prompt is n points (x_i, y_i) of a function drawn afresh. The model predicts every y_i from its x_i and the points
//! before it, so one prompt trains all context lengths, and it does so after every loop:
//!
#![doc = include_str!("data_flow.svg")]
//!
//! B prompts of n points in d dimensions become 2n tokens of width D. They are embedded once; each loop lets the state
//! meet them, adds positions, applies the blocks and a norm. The last loops carry the gradient, the earlier ones run
//! without one, so memory grows with the window and not with the loops. The curriculum makes prompts and loops harder
//! step by step.
//!
//! # The story, from a file to a result
//!
//! | step | here |
//! | --- | --- |
//! | An experiment is a TOML file: task, model, training, evaluation | [`Experiment`](config::Experiment), [`config::load`] |
//! | Its parts are named by `type`, and linked crates register theirs | [`Task`], [`Block`], [`Injector`], [`Baseline`], [`register!`] |
//! | The looped model is recorded of them, and run by an engine | [`ModelConfig::graph`], [`train::Model`] |
//! | Each step draws prompts, takes loss and gradients, updates | [`train::Trainer::step`], [`curriculum`] |
//! | A run directory holds config, metrics and checkpoints | [`train::train`], [`train::RunDir`], [`train::Checkpoint`] |
//! | The model is scored on fresh prompts beside classical estimators | [`eval::evaluate`], [`eval::baselines`] |
//! | All of this at once, as the experiment says | [`study::run()`], [`study::resume()`] |
//! | Runs are compared, and sweeps planned and run | [`study::Comparison`], [`study::sweep`] |
//! | It goes to PyTorch and comes from it under the published names | [`train::encode`], [`weights`] |
//!
//! Everything random comes from named streams of a seed ([`Rng`]), so what was done once can be done again to the same
//! bits. Errors are one type a crate ([`Error`], [`config::ConfigError`], [`train::TrainError`], [`weights::Error`]),
//! each saying what, where and how to fix it.
//!
//! Your own parts implement one of the four traits; `looped new block NAME` writes a crate to start from, and the crate
//! `looped-testing` has the checks that the built-in parts pass. The command line is the crate `cli`.
//!
//! # In a crate of your own
//!
//! ```toml
//! [dependencies]
//! looped = { path = "/where/looped/is/crates/looped" }
//!
//! # Unoptimised, a step takes seconds to minutes.
//! [profile.dev]
//! opt-level = 3
//! ```
//!
//! # Build, train, evaluate, predict
//!
#![doc = concat!("```\n", include_str!("../examples/first.rs"), "```")]
//!
//! # A whole run
//!
#![doc = concat!("```\n", include_str!("../examples/run.rs"), "```")]
//!
//! # Runs compared
//!
#![doc = concat!("```\n", include_str!("../examples/compare.rs"), "```")]
//!
//! # A sweep
//!
#![doc = concat!("```\n", include_str!("../examples/sweep.rs"), "```")]
//!
//! # A training loop of your own
//!
#![doc = concat!("```\n", include_str!("../examples/own_loop.rs"), "```")]
//!
//! For a loss of your own, [`train::Model::candle`] gives the model as candle's operations: its `forward` has the
//! window's predictions as candle differentiates them with respect to its `leaves`, and its `gradients` makes of that what an updater takes.
//!
//! # A schedule of your own
//!
#![doc = concat!("```\n", include_str!("../examples/own_schedule.rs"), "```")]
//!
//! # A callback per step
//!
#![doc = concat!("```\n", include_str!("../examples/callback.rs"), "```")]
//!
//! # A model from a run directory
//!
#![doc = concat!("```\n", include_str!("../examples/from_run.rs"), "```")]

pub mod prelude;

pub use looped_core::*;
pub use {
    looped_blocks as blocks, looped_config as config, looped_curriculum as curriculum, looped_eval as eval,
    looped_lab as lab, looped_probe as probe, looped_report as report, looped_study as study,
    looped_tasks as tasks, looped_train as train, looped_weights as weights,
};
