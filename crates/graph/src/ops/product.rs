//! y = x W^T, where W is a value: a row that is the same for all prompts, as one by loop.

use candle_core::{Module, Result, Tensor};

use super::takes;
use crate::{Form, Meaning, Op, Reach, Rows, Shape};

/// [`Value::product`](crate::Value::product).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Numbers in a row that it gives.
    pub out: usize,
    /// Numbers in a row that it takes.
    pub inputs: usize,
}

impl Op for Product {
    fn name(&self) -> String {
        format!("product to {}", self.out)
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        let Self { out, inputs: width } = *self;
        takes(width, inputs[0])?;
        if inputs[1] != Shape::once(out * width) {
            return Err(format!("its matrix is one row of {out} times {width} numbers, for all prompts"));
        }
        if inputs[0].rows == Rows::Once {
            return Err("it takes rows of the prompts".to_owned());
        }
        Ok(vec![inputs[0].with_width(out)])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }

    fn flops(&self, _: &[Shape], _: usize) -> u64 {
        2 * (self.inputs * self.out) as u64
    }

    fn form(&self) -> Form<'_> {
        Form::Product(*self)
    }

    fn meaning(&self, inputs: &[Tensor], _: Meaning<'_>) -> Result<Vec<Tensor>> {
        let matrix = inputs[1].reshape((self.out, self.inputs))?;
        Ok(vec![candle_nn::Linear::new(matrix, None).forward(&inputs[0].contiguous()?)?])
    }
}
