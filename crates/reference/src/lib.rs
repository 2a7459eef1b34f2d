//! The reference engine: a recorded model by candle's operations, on any device.
//!
//! It runs the graph of a [`ModelConfig`](looped_core::ModelConfig) as it was written, node by node: each node's
//! [`meaning`](looped_graph::Op::meaning) in the loops that need it, and candle's own gradients backward. It computes no row that could be left
//! out any less, and keeps every result for the backward pass, so it is slow; in return it runs every part that can be recorded, and
//! shares no kernel and no derivative with the fast engines, which are held to it.
//!
//! What doesn't depend on the loop is computed once, before the first loop ([`Rate`](looped_graph::Rate)).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod body;
mod engine;
mod looping;
mod model;

pub use engine::{Candle, footprint, passing_through};
pub use looping::Looping;
pub use model::{ReferenceModel, ReferencePredictor, Step};
