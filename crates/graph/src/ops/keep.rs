//! The rows of some tokens; the others' are lost.

use candle_core::{Result, Tensor};

use super::takes_tokens;
use crate::{Form, Meaning, Op, Reach, Shape};

/// [`Value::keep_last`](crate::Value::keep_last) and [`Value::keep_first`](crate::Value::keep_first).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keep {
    /// How many tokens keep their rows.
    pub n: usize,
    /// Whether it's the last ones; else the first.
    pub last: bool,
    /// What the other tokens' rows are filled with.
    pub lost: f32,
}

impl Keep {
    pub(crate) const fn last(n: usize, lost: f32) -> Self {
        Self { n, last: true, lost }
    }

    pub(crate) const fn first(n: usize, lost: f32) -> Self {
        Self { n, last: false, lost }
    }

    /// The kept tokens of `tokens`: from the first up to the second.
    #[must_use]
    pub fn kept(self, tokens: usize) -> (usize, usize) {
        if self.last { (tokens.saturating_sub(self.n), tokens) } else { (0, self.n.min(tokens)) }
    }
}

impl Op for Keep {
    fn name(&self) -> String {
        format!("keep {} {}", if self.last { "last" } else { "first" }, self.n)
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        takes_tokens(inputs[0])?;
        Ok(vec![inputs[0]])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }

    fn light(&self) -> bool {
        true
    }

    fn invariant_rows(&self, inputs: usize, tokens: usize) -> usize {
        inputs.max(self.kept(tokens).0)
    }

    fn form(&self) -> Form<'_> {
        Form::Keep(*self)
    }

    fn meaning(&self, inputs: &[Tensor], of: Meaning<'_>) -> Result<Vec<Tensor>> {
        let x = &inputs[0];
        let (start, end) = self.kept(of.tokens);
        // A lost row may hold anything, also what isn't finite: it is cut out, not multiplied by 0.
        let lost = |tokens: usize| -> Result<Tensor> {
            let (sequences, _, width) = x.dims3()?;
            Tensor::full(self.lost, (sequences, tokens, width), of.device)?.to_dtype(of.dtype)
        };
        // A tensor without rows can't be filled on every device.
        let mut parts = Vec::new();
        if start > 0 {
            parts.push(lost(start)?);
        }
        if end > start {
            parts.push(x.narrow(1, start, end - start)?);
        }
        if of.tokens > end {
            parts.push(lost(of.tokens - end)?);
        }
        Ok(vec![if parts.is_empty() { x.clone() } else { Tensor::cat(&parts, 1)? }])
    }
}
