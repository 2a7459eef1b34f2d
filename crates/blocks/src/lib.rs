//! The built-in blocks: [`Transformer`], [`Lstm`] and [`Sequential`], one a file.
//!
//! A program that names no block type links them by `use looped_blocks as _;`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod lstm;
mod lstm_fused;
mod sequential;
mod sequential_fused;
mod transformer;
mod transformer_fused;

pub use lstm::Lstm;
pub use sequential::Sequential;
pub use transformer::Transformer;
