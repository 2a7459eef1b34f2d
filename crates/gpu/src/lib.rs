//! CUDA kernels and the driver layer beneath them.
//!
//! What an engine needs to run a model on a GPU: a device with plain errors, kernels (`kernels/*.cu`) compiled for the card at hand by
//! NVRTC and cached, kernels whose text a caller brings, products by cuBLASLt with plans kept per shape, one arena of memory, and a list of
//! operations captured in one CUDA graph. `looped-cuda` is that engine. `examples/gpu_step` puts one training step together by hand.
//!
//! Tried on one card, an NVIDIA H200, on 2026-11-26; `docs/gpu.md` has what was found. Without one, every kernel is compared with f64 on
//! the CPU, and whole programs run on a fake driver.
//!
//! Nothing of CUDA is needed to build this crate or to start a program that has it: libraries are opened when they are
//! first used, and [`Device::open`] says what is missing.
//!
//! ```text
//! kernels/*.cu --source--> NVRTC --> Kernels ----+
//! Layout --> spans --> calls --> Vec<Operation> --+--> Program --> Graph --> replay
//! ```
//!
//! An operation names places in the arena as [`Span`]s. Those who make one ([`calls`], [`Product`]) check that every place
//! holds what the kernel will touch there, and [`Program`] checks the places against the arena and the arguments against
//! the kernel's own signature, before anything runs.
#![deny(unsafe_code)]

pub mod calls;
mod error;
mod machine;
mod operation;
mod product;
mod source;
mod span;

pub use error::{Error, Result};
pub use machine::{Arena, Device, Graph, Options, Program, WORKSPACE};
pub use operation::Operation;
pub use product::{Form, Math, Product};
pub use source::{Source, Storage};
pub use span::{Element, Layout, Span};
