//! What a trained loop computes, seen from outside.
//!
//! | question | here |
//! | --- | --- |
//! | When could it stop, by which rule, and how far is that from the best? | [`exits()`], [`mod@exits`] |
//! | Does the state settle, drift, cycle or diverge, and how does a loop stretch differences? | [`stability()`], [`mod@stability`] |
//! | Which iterative solver of least squares does loop l follow, and at which of its steps? | [`match_solvers`], [`solvers`] |
//!
//! Everything is measured on fresh prompts of the run's task: the evaluation's own first ones. Nothing is trained.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed test is a panic"))]

mod baseline;
mod best;
mod eigen;
pub mod exits;
mod found;
mod matching;
mod queries;
pub mod solvers;
pub mod stability;
mod states;

pub use baseline::{Iterations, Method};
pub use best::{Best, Closest};
pub use exits::{ExitPlan, Exits, exits, memory_of_exits};
pub use found::{Found, Kept};
pub use matching::{
    Agreement, Match, MatchPlan, Measure, default_solvers, match_solvers, memory_of_matching,
};
pub use stability::{Stability, StabilityPlan, memory_of_stability, stability};
