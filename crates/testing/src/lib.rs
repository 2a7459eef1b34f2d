//! The checks that every block, injector, task and baseline must pass, for built-in parts and plugins alike.
//!
//! Each check is a function that a `#[test]` calls; it panics with what differs, where, and by how much.
//!
//! | part | checks |
//! | --- | --- |
//! | any | [`round_trips`], [`is_registered`] |
//! | block | [`sound`] of its recorded form; of its others [`block_is_causal`], [`block_splits`], [`gradients_are_true`], [`fused_agrees`] |
//! | injector | [`sound_injector`] of its recorded form; of its others [`injector_keeps_the_shape`], [`injector_prefix_is_invariant`], [`injector_gradients_are_true`] |
//! | a graph of one's own | [`engines_agree`], [`rows_hold`] |
//! | task | [`task_is_seeded`] |
//! | baseline | [`baseline_is_causal`] |
//!
//! ```
//! use looped_core::{Full, Injector, Operation};
//! use looped_testing::{injector_prefix_is_invariant, round_trips};
//!
//! injector_prefix_is_invariant(&Full { operation: Operation::Add });
//! round_trips::<dyn Injector>(r#"{"type":"full"}"#);
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a failed check is a panic: that is how tests fail"
)]

mod baseline;
mod block;
mod config;
mod device;
mod fused;
mod injector;
mod sound;
mod task;

pub use baseline::baseline_is_causal;
pub use block::{block_is_causal, block_splits, gradients_are_true};
pub use config::{Part, is_registered, round_trips};
pub use device::device;
pub use fused::fused_agrees;
pub use injector::{injector_gradients_are_true, injector_keeps_the_shape, injector_prefix_is_invariant};
pub use sound::{Asked, engines_agree, rows_hold, sound, sound_injector};
pub use task::task_is_seeded;
