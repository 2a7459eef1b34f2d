//! The checks that every block, injector and task must pass, for built-in parts and plugins alike.
//!
//! Each check is a function that a `#[test]` calls; it panics with what differs, where, and by how much.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a failed check is a panic: that is how tests fail"
)]

mod block;
mod config;
mod task;

pub use block::{block_is_causal, block_splits, gradients_are_true};
pub use config::round_trips;
pub use task::task_is_seeded;
