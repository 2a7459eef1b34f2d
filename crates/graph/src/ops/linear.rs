//! y = x W^T + b.

use candle_core::{Module, Result, Tensor};

use super::takes;
use crate::{Form, Linear, Meaning, Op, Param, Reach, Shape, Trace};

/// [`Value::linear`](crate::Value::linear).
#[derive(Clone, Debug)]
pub struct LinearOp {
    /// The layer.
    pub layer: Linear,
    name: String,
}

impl LinearOp {
    pub(crate) fn new(trace: &Trace, layer: Linear) -> Self {
        let name = trace.param_info(layer.weight).name;
        Self { layer, name: name.strip_suffix(".weight").unwrap_or(&name).to_owned() }
    }
}

impl Op for LinearOp {
    fn name(&self) -> String {
        format!("linear `{}`", self.name)
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        takes(self.layer.inputs, inputs[0])?;
        Ok(vec![inputs[0].with_width(self.layer.out)])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }

    fn params(&self) -> Vec<Param> {
        std::iter::once(self.layer.weight).chain(self.layer.bias).collect()
    }

    fn flops(&self, _: &[Shape], _: usize) -> u64 {
        2 * (self.layer.inputs * self.layer.out) as u64
    }

    /// A product, and its sum with the bias.
    fn kept_by_candle(&self, inputs: &[Shape], tokens: usize) -> u64 {
        let results = 1 + u64::from(self.layer.bias.is_some());
        results * inputs[0].with_width(self.layer.out).numbers(tokens)
    }

    fn form(&self) -> Form<'_> {
        Form::Linear(self.layer)
    }

    fn meaning(&self, inputs: &[Tensor], of: Meaning<'_>) -> Result<Vec<Tensor>> {
        let bias = self.layer.bias.map(|bias| of.param(bias).clone());
        let layer = candle_nn::Linear::new(of.param(self.layer.weight).clone(), bias);
        Ok(vec![layer.forward(&inputs[0].contiguous()?)?])
    }
}
