//! Rows filled with one number.

use candle_core::{Result, Tensor};

use crate::{Form, Meaning, Op, Reach, Rows, Shape};

/// [`Value::like`](crate::Value::like).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fill {
    /// The result's shape.
    pub shape: Shape,
    /// What it is filled with.
    pub number: f32,
}

impl Op for Fill {
    fn name(&self) -> String {
        format!("fill {}", self.number)
    }

    fn shapes(&self, _: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        Ok(vec![self.shape])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }

    fn light(&self) -> bool {
        true
    }

    fn form(&self) -> Form<'_> {
        Form::Fill(self.number)
    }

    fn meaning(&self, _: &[Tensor], of: Meaning<'_>) -> Result<Vec<Tensor>> {
        let (sequences, tokens) = match self.shape.rows {
            Rows::Once => (1, 1),
            Rows::Sequences => (of.sequences, 1),
            Rows::Tokens => (of.sequences, of.tokens),
        };
        let (dtype, device) = (of.dtype, of.device);
        let number = Tensor::full(self.number, (), device)?.to_dtype(dtype)?;
        Ok(vec![number.broadcast_as((sequences, tokens, self.shape.width))?.contiguous()?])
    }
}
