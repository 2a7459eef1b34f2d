//! The built-in blocks: [`Transformer`], [`Llama`], [`Lstm`], [`Ssm`], [`LoopEmbedding`] and [`Sequential`], one a file.
//!
//! A program that names no block type links them by `use looped_blocks as _;`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod llama;
mod loop_embedding;
mod lora;
mod lstm;
mod mlp;
mod residual;
mod sequential;
mod ssm;
mod transformer;

pub use llama::Llama;
pub use loop_embedding::{Beyond, LoopEmbedding};
pub use lora::Lora;
pub use lstm::Lstm;
pub use residual::NormPlacement;
pub use sequential::Sequential;
pub use ssm::Ssm;
pub use transformer::Transformer;
