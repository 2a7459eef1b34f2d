//! The same numbers, without gradient.

use candle_core::{Result, Tensor};

use crate::{Form, Meaning, Op, Reach, Shape};

/// [`Value::stop_gradient`](crate::Value::stop_gradient).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopGradient;

impl Op for StopGradient {
    fn name(&self) -> String {
        "stop gradient".to_owned()
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        Ok(vec![inputs[0]])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }

    fn light(&self) -> bool {
        true
    }

    fn stops_gradient(&self) -> bool {
        true
    }

    fn form(&self) -> Form<'_> {
        Form::StopGradient
    }

    fn meaning(&self, inputs: &[Tensor], _: Meaning<'_>) -> Result<Vec<Tensor>> {
        Ok(vec![inputs[0].detach()])
    }
}
