//! A parameter as a value.

use candle_core::{Result, Tensor};

use crate::{Form, Meaning, Op, Param, Reach, Shape, Trace};

/// [`Trace::param`].
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Which.
    pub param: Param,
    name: String,
    len: usize,
}

impl Parameter {
    pub(crate) fn new(trace: &Trace, param: Param) -> Self {
        let info = trace.param_info(param);
        Self { param, len: info.len(), name: info.name }
    }
}

impl Op for Parameter {
    fn name(&self) -> String {
        format!("parameter `{}`", self.name)
    }

    fn shapes(&self, _: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        Ok(vec![Shape::once(self.len)])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }

    fn params(&self) -> Vec<Param> {
        vec![self.param]
    }

    fn light(&self) -> bool {
        true
    }

    fn form(&self) -> Form<'_> {
        Form::Parameter(self.param)
    }

    fn meaning(&self, _: &[Tensor], of: Meaning<'_>) -> Result<Vec<Tensor>> {
        Ok(vec![of.param(self.param).reshape((1, 1, self.len))?])
    }
}
