//! Columns of each row.

use std::ops::Range;

use candle_core::{D, Result, Tensor};

use crate::{Form, Meaning, Op, Reach, Shape};

/// [`Value::columns`](crate::Value::columns).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns(pub Range<usize>);

impl Op for Columns {
    fn name(&self) -> String {
        format!("columns {}..{}", self.0.start, self.0.end)
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        if self.0.start > self.0.end || self.0.end > inputs[0].width {
            return Err(format!("it has the columns 0..{}", inputs[0].width));
        }
        Ok(vec![inputs[0].with_width(self.0.len())])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }

    fn light(&self) -> bool {
        true
    }

    /// A view.
    fn kept_by_candle(&self, _: &[Shape], _: usize) -> u64 {
        0
    }

    fn form(&self) -> Form<'_> {
        Form::Columns(&self.0)
    }

    fn meaning(&self, inputs: &[Tensor], _: Meaning<'_>) -> Result<Vec<Tensor>> {
        Ok(vec![inputs[0].narrow(D::Minus1, self.0.start, self.0.len())?])
    }
}
