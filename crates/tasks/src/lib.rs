//! The built-in function classes, one a file; prompts of the user's own ([`Dataset`]); and the inputs x that prompts
//! are asked at ([`Distribution`]).
//!
//! A [`FunctionClass`] says how an f is drawn, and nothing of where it is evaluated, so that [`Shifted`] can put the
//! same f before inputs that a model was not trained on.
//!
//! A program that names no task type links them by `use looped_tasks as _;`.
//!
//! ```
//! use looped_core::{Request, Rng, Split, Task};
//! use looped_tasks::{Distribution, LinearRegression, Shifted};
//!
//! # fn main() -> looped_core::Result<()> {
//! let request = Request { prompts: 8, points: 11, dims: 5, n_dims: 5, first: 0, split: Split::Evaluation };
//! let task = LinearRegression {};
//! let usual = task.sample(request, &mut Rng::stream(1, "example", 0))?;
//! // The same functions at inputs twice as large.
//! let shifted = Shifted::of(&task, Distribution::ScaledInputs { factor: 2.0 }).expect("a function class");
//! let large = shifted.sample(request, &mut Rng::stream(1, "example", 0))?;
//! assert_eq!(large.xs[0], 2.0 * usual.xs[0]);
//! assert_eq!(large.ys[0], 2.0 * usual.ys[0]);
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod dataset;
mod decision_tree;
mod distribution;
mod few_prompts;
mod function_class;
mod inputs;
mod linear_classification;
mod linear_regression;
mod noisy_linear_regression;
mod parity;
mod passes;
mod prompt_file;
mod quadratic_regression;
mod registers;
mod relu_2nn_regression;
mod shifted;
mod sparse_linear_regression;
mod vectors;

#[cfg(test)]
mod checks;

pub use dataset::Dataset;
pub use decision_tree::DecisionTree;
pub use distribution::Distribution;
pub use few_prompts::FewPrompts;
pub use function_class::{Function, FunctionClass, sample};
pub use linear_classification::LinearClassification;
pub use linear_regression::LinearRegression;
pub use noisy_linear_regression::NoisyLinearRegression;
pub use parity::{Answer, Parity};
pub use prompt_file::read as read_prompts;
pub use quadratic_regression::QuadraticRegression;
pub use registers::Registers;
pub use relu_2nn_regression::Relu2nnRegression;
pub use shifted::Shifted;
pub use sparse_linear_regression::SparseLinearRegression;
