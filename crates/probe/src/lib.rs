//! Probes: what a looped model's states hold, loop by loop (Yang et al., arXiv 2311.12424, the appendix on probing).
//!
//! An iterative solver of least squares works with X^T y and ends with the weights. Whether a looped model has either in
//! its state is asked of a small net of its own for each loop, trained to read it there and scored on prompts
//! that neither the model nor the net was trained on.
//!
//! What a net reads, the model need not have computed: the net may have. So each reading has two controls. *Untrained*
//! reads the states of the same model before its first step: what the net makes of tokens that were merely mixed.
//! *Shuffled* asks for another prompt's target: there is nothing to read, and what is read all the same is chance. A
//! state holds the target as far as its own curve lies below both.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed test is a panic"))]

mod net;
mod probing;
mod rows;
mod target;

pub use net::HIDDEN;
pub use probing::{Probing, Readings, memory_of_probing, probe};
pub use target::Target;
