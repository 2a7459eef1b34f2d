//! What a run looks like from the outside: figures for a paper, tables for the terminal, a report to open in a
//! browser, event files for TensorBoard, and tables for other programs.
//!
//! The crate knows nothing of models or tasks; its users turn their numbers into a [`plot::Curve`] or a
//! [`table::Table`].
//!
//! ```
//! use looped_report::plot::{Band, Curve, Figure, Scale};
//!
//! let x = vec![0.0, 1.0, 2.0];
//! let mut figure = Figure::new("Linear regression", "in-context examples", "squared error / d");
//! figure.y_scale = Scale::Log;
//! figure.curves.push(Curve::model("looped", x.clone(), Band::line(vec![1.0, 0.3, 0.01])));
//! figure.curves.push(Curve::baseline("least squares", x, Band::line(vec![1.0, 0.5, 0.0])));
//! assert!(figure.svg().starts_with("<svg"));
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod columns;
mod error;
mod escape;
mod html;
mod markdown;
pub mod number;
pub mod plot;
pub mod report;
pub mod table;
pub mod tensorboard;

pub use error::Error;
