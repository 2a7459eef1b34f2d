//! How good a model is: classical baselines, and errors per number of in-context examples with intervals.
//!
//! [`evaluate`] draws fresh prompts of a task, lets a model and the [`baselines`] predict every y from the points
//! before it, and gives an [`Evaluation`]: the contents of `eval.json`, and a [table](Evaluation::table) for a terminal.
//! [`score_prompts`] keeps the score of each prompt too, the [`PromptScores`] of `scores.safetensors`: what pairs one run
//! with another.
//! [`evaluate_suite`] does so on shifted prompts too, and [`state_change`] asks whether a looped model's state converges.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed test is a panic"))]

pub mod baselines;
mod bootstrap;
mod cholesky;
mod convergence;
mod evaluate;
mod evaluation;
mod minimum_norm;
mod plan;
mod prompt_scores;
mod qr_update;
mod suite;
mod table;
pub mod two_layers;

pub use baselines::{
    all_baselines, baseline_predictions, default_baselines, linear_baselines, plugin_baselines,
};
pub use bootstrap::{Curve, Scores};
pub use convergence::{CONVERGED_WITHIN, StateChange, state_change};
pub use evaluate::{evaluate, score_prompts};
pub use evaluation::{Curves, Evaluation, MODEL, MODEL_EMA};
pub use plan::EvalPlan;
pub use prompt_scores::PromptScores;
pub use suite::{Shift, ShiftEvaluation, SuiteEvaluation, evaluate_suite, examples};
