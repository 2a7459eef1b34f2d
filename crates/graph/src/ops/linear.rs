//! y = x W^T + b.

use candle_core::{Result, Tensor};

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

    fn form(&self) -> Form<'_> {
        Form::Linear(self.layer)
    }

    fn meaning(&self, inputs: &[Tensor], of: Meaning<'_>) -> Result<Vec<Tensor>> {
        let (sequences, tokens, width) = inputs[0].dims3()?;
        let rows = inputs[0].reshape((sequences * tokens, width))?;
        let y = rows.matmul(&of.param(self.layer.weight).t()?)?;
        let y = match self.layer.bias {
            Some(bias) => y.broadcast_add(of.param(bias))?,
            None => y,
        };
        Ok(vec![y.reshape((sequences, tokens, self.layer.out))?])
    }
}
