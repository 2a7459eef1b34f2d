//! The built-in blocks: [`Transformer`], [`Lstm`] and [`Sequential`], one a file.
//!
//! A program that names no block type links them by `use looped_blocks as _;`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod lstm;
mod sequential;
mod transformer;

pub use lstm::Lstm;
pub use sequential::Sequential;
pub use transformer::Transformer;
