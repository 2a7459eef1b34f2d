//! Rows of earlier tokens.

use candle_core::{Result, Tensor};

use super::takes_tokens;
use crate::{Form, Meaning, Op, Reach, Shape};

/// [`Value::shift`](crate::Value::shift).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift(pub usize);

impl Op for Shift {
    fn name(&self) -> String {
        format!("shift by {}", self.0)
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        takes_tokens(inputs[0])?;
        Ok(vec![inputs[0]])
    }

    fn reach(&self) -> Reach {
        Reach::Back
    }

    fn light(&self) -> bool {
        true
    }

    fn form(&self) -> Form<'_> {
        Form::Shift(self.0)
    }

    fn meaning(&self, inputs: &[Tensor], of: Meaning<'_>) -> Result<Vec<Tensor>> {
        let x = &inputs[0];
        let (sequences, tokens, width) = x.dims3()?;
        let by = self.0.min(tokens);
        let first = Tensor::zeros((sequences, by, width), of.dtype, of.device)?;
        Ok(vec![match by {
            0 => x.clone(),
            by if by == tokens => first,
            by => Tensor::cat(&[first, x.narrow(1, 0, tokens - by)?], 1)?,
        }])
    }
}
