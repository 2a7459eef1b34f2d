//! The CPU engine: it runs the steps that a graph was lowered to, on hand-written kernels.
//!
//! A batch is cut into chunks of one or a few prompts. Each thread takes chunk after chunk through all loops forward and through the window
//! backward, on memory of its own that it reuses, with single-threaded kernels over weights that are packed once a step. What a chunk runs
//! is a [`Program`](looped_graph::lower::Program); this crate holds no block's code.
//!
//! Gradients are added per thread, chunk by chunk in a fixed order, and over the threads at the end: equal calls give equal bits for one
//! number of threads.
//!
//! # Looking for mistakes
//!
//! Two environment variables make the engine look at itself; both cost time and memory.
//!
//! - `LOOPED_FIND=nan` looks at what every step has written, and stops at the first number that isn't finite. The message names the operation,
//!   the part it belongs to, the loop, and the place in the author's code.
//! - `LOOPED_ARENA=apart` gives every buffer of a list of steps room of its own. If that changes a result, two buffers share room that both need.
//!   `LOOPED_ARENA=nan` also fills memory with NaN before a list of steps runs, so that whatever is read and was never written shows.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod body;
mod chunks;
mod code;
mod engine;
mod explain;
mod footprint;
mod fused;
mod hunt;
mod island;
mod kernels;
mod layout;
mod memory;
mod once;
mod plan;
mod plans;
mod point;
mod recur;
mod recur_step;
mod run;
mod turns;
mod weights;
mod worker;

/// What engines on other devices do as this one does it.
pub mod engines {
    pub use crate::layout::Layout;
    pub use crate::once::{backward as once_backward, forward as once_forward};
    pub use crate::plan::{Loops, LossOf, check};
}

pub use engine::{CpuModel, CpuPredictor};
pub use explain::{Explanation, explain, without_kernel};
pub use footprint::footprint;
pub use fused::Fused;
pub use looped_core::{Footprint, Work};
pub use looped_graph::lower::Explained;
pub use looped_ops::Precision;
pub use plan::Step;
