//! The CUDA engine: it runs the steps that a graph was lowered to, on one GPU.
//!
//! What runs is the same [`Program`](looped_graph::lower::Program) that the CPU engine runs, with all prompts of a batch in one chunk. Its
//! steps are translated to operations of [`looped_gpu`]: kernels, products by cuBLASLt, and the text of each elementwise program, which is
//! compiled when the model is first used. A whole training step, its loss included, is one list of operations on one piece of memory. It
//! is captured once for each shape of prompts and replayed from then on. This crate holds no block's code.
//!
//! Sums are made in a fixed order and nothing is added atomically: equal calls give equal bits on one card with one set of libraries.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod batch;
mod body;
mod cells;
mod custom;
mod emit;
mod engine;
mod footprint;
mod held;
mod low;
mod model;
mod once;
mod parted;
mod places;
mod point;
mod profile;
mod segments;
mod shape;
mod stage;
mod stored;
mod sums;

pub use engine::{Cuda, math_of};
pub use footprint::{ALWAYS, GpuUse, plan, text};
pub use held::Held;
pub use looped_gpu::Math;
pub use model::{CudaModel, CudaPredictor, Step, card, found};
pub use profile::{Profile, Timed};
pub use shape::PromptShape;
