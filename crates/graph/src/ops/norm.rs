//! Layer norm and root-mean-square norm.

use candle_core::{D, Result, Tensor};

use super::takes;
use crate::layers::NORM_EPS;
use crate::{Form, Meaning, Norm, NormKind, Op, Param, Reach, Shape, Trace};

/// [`Value::norm`](crate::Value::norm).
#[derive(Clone, Debug)]
pub struct NormOp {
    /// The norm.
    pub norm: Norm,
    name: String,
}

impl NormOp {
    pub(crate) fn new(trace: &Trace, norm: Norm) -> Self {
        let name = trace.param_info(norm.weight).name;
        Self { norm, name: name.strip_suffix(".weight").unwrap_or(&name).to_owned() }
    }
}

impl Op for NormOp {
    fn name(&self) -> String {
        format!("norm `{}`", self.name)
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        takes(self.norm.width, inputs[0])?;
        if self.norm.groups == 0 || !self.norm.width.is_multiple_of(self.norm.groups) {
            return Err(format!("{} groups don't divide rows of {}", self.norm.groups, self.norm.width));
        }
        Ok(vec![inputs[0]])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }

    fn params(&self) -> Vec<Param> {
        std::iter::once(self.norm.weight).chain(self.norm.bias).collect()
    }

    fn light(&self) -> bool {
        true
    }

    /// Squares, quotients and products; of a layer norm also differences and sums.
    fn kept_by_candle(&self, inputs: &[Shape], tokens: usize) -> u64 {
        let each = match self.norm.kind {
            NormKind::Layer => 5,
            NormKind::Rms => 3,
        };
        each * inputs[0].numbers(tokens)
    }

    fn form(&self) -> Form<'_> {
        Form::Norm(self.norm)
    }

    fn meaning(&self, inputs: &[Tensor], of: Meaning<'_>) -> Result<Vec<Tensor>> {
        // candle's own norms run kernels without a backward pass: a graph through them trains, wrongly and without a word.
        let (sequences, tokens, width) = inputs[0].dims3()?;
        let groups = self.norm.groups;
        let x = inputs[0].reshape((sequences, tokens, groups, width / groups))?;
        let x = match self.norm.kind {
            NormKind::Layer => x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?,
            NormKind::Rms => x,
        };
        let square = x.sqr()?.mean_keepdim(D::Minus1)?;
        let y = x.broadcast_div(&(square + NORM_EPS)?.sqrt()?)?.broadcast_mul(of.param(self.norm.weight))?;
        let y = match self.norm.bias {
            Some(bias) => y.broadcast_add(of.param(bias))?,
            None => y,
        };
        Ok(vec![y.reshape((sequences, tokens, width))?])
    }
}
