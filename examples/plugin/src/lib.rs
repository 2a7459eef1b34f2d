//! Four parts of your own, one a file: a [`Gru`] block, a [`Gated`] injector, the task [`CosineRegression`] and the
//! baseline [`KernelMean`].
//!
//! Nothing of looped's crates names them: each registers itself, and a program knows them once it links this crate, as
//! `src/main.rs` does by `use looped_plugin_example as _;`.

mod cosine_regression;
mod gated;
mod gru;
mod kernel_mean;

pub use cosine_regression::CosineRegression;
pub use gated::Gated;
pub use gru::Gru;
pub use kernel_mean::KernelMean;
