//! The built-in blocks: [`Transformer`], [`Llama`], [`Lstm`], [`Ssm`], [`LoopEmbedding`] and [`Sequential`], one a file.
//!
//! A program that names no block type links them by `use looped_blocks as _;`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod layers_fused;
mod llama;
mod loop_embedding;
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

pub use llama::Llama;
pub use loop_embedding::LoopEmbedding;
pub use lstm::Lstm;
pub use sequential::Sequential;
pub use ssm::Ssm;
pub use transformer::Transformer;
