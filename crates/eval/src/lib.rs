//! How good a model is: classical baselines, and errors per number of in-context examples with intervals.
//!
//! [`evaluate`] draws fresh prompts of a task, lets a model and the [`baselines`] predict every y from the points
//! before it, and gives an [`Evaluation`]: the contents of `eval.json`, and a [table](Evaluation::table) for a terminal.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed test is a panic"))]

pub mod baselines;
mod bootstrap;
mod evaluate;
mod evaluation;
mod table;
mod triangle;

pub use baselines::{all_baselines, baseline_predictions, default_baselines, linear_baselines};
pub use bootstrap::{Curve, Scores};
pub use evaluate::{EvalPlan, evaluate};
pub use evaluation::{Curves, Evaluation, MODEL};
