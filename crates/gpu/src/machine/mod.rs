//! The driver, NVRTC and cuBLASLt: the only `unsafe` code of the crate.
//!
//! What makes it sound, in short. A [`Program`] keeps alive what its launches use: the device's context and stream, the
//! loaded kernels, the arena and the products' plans and workspace. Before anything is launched, every place is checked to
//! be inside the arena, and every kernel's arguments to be what its own source declares; [`crate::calls`] and
//! [`crate::Product`] have checked that the places hold what a kernel touches. All work goes to one stream, so that it runs
//! in the order in which it is asked for. Device memory is never seen as Rust memory: it is copied in and out by value.
#![allow(unsafe_code)]

mod arena;
mod compile;
mod device;
mod libraries;
mod plans;
mod program;
mod staging;

pub use arena::Arena;
pub use device::Device;
pub use plans::WORKSPACE;
pub use program::{Graph, Options, Program};

use crate::Error;

/// The error of a library that refused.
fn refused(doing: impl Into<String>, library: &'static str, status: &impl std::fmt::Debug) -> Error {
    Error::Refused { doing: doing.into(), library, status: format!("{status:?}") }
}
