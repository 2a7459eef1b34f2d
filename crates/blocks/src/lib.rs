//! The built-in blocks: [`Transformer`], [`Lstm`], [`Ssm`] and [`Sequential`], one a file.
//!
//! A program that names no block type links them by `use looped_blocks as _;`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod layers_fused;
mod lstm;
mod lstm_fused;
mod mlp;
mod mlp_fused;
mod recorded;
mod sequential;
mod sequential_fused;
mod ssm;
mod ssm_fused;
mod transformer;
mod transformer_fused;

pub use lstm::Lstm;
pub use sequential::Sequential;
pub use ssm::Ssm;
pub use transformer::Transformer;
