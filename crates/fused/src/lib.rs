//! The fused CPU engine: analytic forward and backward passes over sharded batches.
//!
//! A step has no graph. Its batch is cut into chunks of one or a few sequences; each thread takes chunk after chunk through
//! all loops forward and through the window backward, with single-threaded kernels over weights packed once, on memory of
//! its own that it reuses: a tape of the window's activations, which doesn't grow with the loops before it or with the batch.
//!
//! - A chunk's last y token is left out: the predictions, at the x tokens, see only what is before them.
//! - Tokens that never see the state (those before the last n of [`Kept::Last`](looped_core::Kept)) are run once a step, forward and backward, and every loop over the others reads what they left in the blocks' memories.
//! - Activations that are cheaper to compute again than to fetch from memory aren't kept: norms, attention
//!   probabilities, GELU.
//! - Gradients are added per thread, chunk by chunk in a fixed order, and over the threads at the end.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bench;
mod inject;
mod layout;
mod memory;
mod model;
mod plan;
mod prefix;
mod stack;
mod window;
mod worker;

pub use looped_core::fused::Precision;
pub use memory::{Footprint, Work, footprint};
pub use model::{FusedModel, FusedPredictor, Gradients};
pub use plan::Step;
