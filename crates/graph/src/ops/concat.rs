//! Rows side by side.

use candle_core::{D, Result, Tensor};

use crate::{Form, Meaning, Op, Reach, Shape};

/// [`Value::concat`](crate::Value::concat).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concat;

impl Op for Concat {
    fn name(&self) -> String {
        "concat".to_owned()
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        if inputs.iter().any(|shape| shape.rows != inputs[0].rows) {
            return Err("the numbers of rows differ".to_owned());
        }
        Ok(vec![inputs[0].with_width(inputs.iter().map(|shape| shape.width).sum())])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }

    fn light(&self) -> bool {
        true
    }

    fn form(&self) -> Form<'_> {
        Form::Concat
    }

    fn meaning(&self, inputs: &[Tensor], _: Meaning<'_>) -> Result<Vec<Tensor>> {
        Ok(vec![Tensor::cat(inputs, D::Minus1)?])
    }
}
