//! The operations, one a file, each with all its rules.

mod attention;
mod columns;
mod concat;
mod custom;
mod fill;
mod keep;
mod linear;
mod lookup;
mod norm;
mod parameter;
mod point;
mod product;
mod recur;
mod rotary;
mod scan;
mod shift;
mod stop;

pub use attention::Attention;
pub use columns::Columns;
pub use concat::Concat;
pub use custom::{Candle, CpuKernel, CudaText, Custom, CustomOp};
pub use fill::Fill;
pub use keep::Keep;
pub use linear::LinearOp;
pub use lookup::{Between, Beyond, ByLoop, Lookup, Positions};
pub use norm::NormOp;
pub use parameter::Parameter;
pub use point::{Func, Point};
pub use product::Product;
pub use recur::{Cell, Recur};
pub use rotary::Rotary;
pub use scan::Scan;
pub use shift::Shift;
pub use stop::StopGradient;

use crate::{Rows, Shape};

/// The rows of a value with these inputs, row by row: as many as the input with the most.
pub(crate) fn most_rows(inputs: &[Shape]) -> Rows {
    inputs.iter().map(|shape| shape.rows).max().unwrap_or(Rows::Once)
}

/// Refuses rows of another width.
pub(crate) fn takes(width: usize, shape: Shape) -> Result<(), String> {
    if shape.width == width { Ok(()) } else { Err(format!("it takes rows of {width}")) }
}

/// Refuses all but rows for each token.
pub(crate) fn takes_tokens(shape: Shape) -> Result<(), String> {
    if shape.rows == Rows::Tokens { Ok(()) } else { Err("it takes a row for each token".to_owned()) }
}
