//! The checks that every block, injector, task and baseline must pass, for built-in parts and plugins alike.
//!
//! Each check is a function that a `#[test]` calls; it panics with what differs, where, and by how much.
//!
//! | part | checks |
//! | --- | --- |
//! | any | [`round_trips`], [`is_registered`] |
//! | block | [`sound`]; [`block_gives`] for its numbers |
//! | injector | [`sound_injector`]; [`injector_gives`] for its numbers |
//! | a model | [`sound_model`] |
//! | a graph of one's own | [`engines_agree`], [`rows_hold`] |
//! | task | [`task_is_seeded`] |
//! | baseline | [`baseline_is_causal`] |
//!
//! ```
//! use looped_core::{Injector, LastN, Operation};
//! use looped_testing::{injector_gives, round_trips, sound_injector};
//!
//! let last = LastN { n: 1, operation: Operation::Add };
//! sound_injector(&last);
//! let (state, input) = ([[1.0], [2.0]], [[10.0], [20.0]]);
//! assert_eq!(injector_gives(&last, &state, &input, |_, _| 0.0), [[10.0], [22.0]]);
//! round_trips::<dyn Injector>(r#"{"type":"last_n","n":3}"#);
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a failed check is a panic: that is how tests fail"
)]

mod baseline;
mod config;
mod device;
mod gives;
mod model;
mod sound;
mod task;

pub use baseline::baseline_is_causal;
pub use config::{Part, is_registered, round_trips};
pub use device::device;
pub use gives::{block_gives, injector_gives};
pub use model::noisy_parameters;
pub use sound::{
    Asked, Results, agrees_with_reference, by_name, engines_agree, furthest_from_reference,
    moved_by_rounding, rows_hold, sound, sound_injector, sound_model,
};
pub use task::task_is_seeded;
