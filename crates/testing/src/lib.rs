//! The checks that every block, injector, task and baseline must pass, for built-in parts and plugins alike.
//!
//! Each check is a function that a `#[test]` calls; it panics with what differs, where, and by how much.
//!
//! | part | checks |
//! | --- | --- |
//! | any | [`round_trips`], [`is_registered`] |
//! | block | [`sound`] |
//! | injector | [`sound_injector`] |
//! | a graph of one's own | [`engines_agree`], [`rows_hold`] |
//! | task | [`task_is_seeded`] |
//! | baseline | [`baseline_is_causal`] |
//!
//! ```
//! use looped_core::Injector;
//! use looped_testing::round_trips;
//!
//! round_trips::<dyn Injector>(r#"{"type":"full","operation":"multiply"}"#);
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a failed check is a panic: that is how tests fail"
)]

mod baseline;
mod config;
mod device;
mod model;
mod sound;
mod task;

pub use baseline::baseline_is_causal;
pub use config::{Part, is_registered, round_trips};
pub use device::device;
pub use model::noisy_parameters;
pub use sound::{Asked, engines_agree, rows_hold, sound, sound_injector};
pub use task::task_is_seeded;
