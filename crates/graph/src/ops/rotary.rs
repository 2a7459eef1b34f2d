//! Rotary positions (Su et al., arXiv 2104.09864).

use candle_core::{D, Result, Tensor};

use super::takes_tokens;
use crate::{Form, Meaning, Op, Reach, Shape};

/// The base of the frequencies: pair i of n turns by position / 10000^(i / n).
const BASE: f64 = 10_000.0;

/// [`Value::rotary`](crate::Value::rotary).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotary {
    /// Heads of each part.
    pub heads: usize,
    /// How many parts are turned, from the first on.
    pub parts: usize,
    /// How many parts a row has.
    pub of: usize,
}

impl Rotary {
    /// Numbers of one head, in a row of `width`.
    #[must_use]
    pub const fn head(self, width: usize) -> usize {
        width / (self.of * self.heads)
    }

    /// Cosine and sine of the angle of pair `i` of a head of `head` numbers, at a position.
    #[must_use]
    pub fn turn(i: usize, head: usize, position: usize) -> (f64, f64) {
        let angle = position as f64 * BASE.powf(-2.0 * i as f64 / head as f64);
        (angle.cos(), angle.sin())
    }
}

impl Op for Rotary {
    fn name(&self) -> String {
        "rotary".to_owned()
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        takes_tokens(inputs[0])?;
        let each = self.of * self.heads;
        if each == 0 || self.parts > self.of || !inputs[0].width.is_multiple_of(2 * each) {
            return Err(format!("a row isn't {} parts of {} heads of an even width", self.of, self.heads));
        }
        Ok(vec![inputs[0]])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }

    fn light(&self) -> bool {
        true
    }

    /// Four products, two sums, each of half of what is turned, and the outcome, twice if it is a part of the row.
    fn kept_by_candle(&self, inputs: &[Shape], tokens: usize) -> u64 {
        let turned = inputs[0].with_width(self.parts * inputs[0].width / self.of).numbers(tokens);
        let rest = if self.parts == self.of { 0 } else { inputs[0].numbers(tokens) };
        4 * turned + rest
    }

    fn form(&self) -> Form<'_> {
        Form::Rotary(*self)
    }

    fn meaning(&self, inputs: &[Tensor], of: Meaning<'_>) -> Result<Vec<Tensor>> {
        let (sequences, tokens, width) = inputs[0].dims3()?;
        let head = self.head(width);
        let table = |pick: fn((f64, f64)) -> f64| -> Result<Tensor> {
            let row = |t| (0..head / 2).map(move |i| pick(Self::turn(i, head, t)) as f32);
            let all: Vec<f32> = (0..tokens).flat_map(row).collect();
            Tensor::from_vec(all, (1, tokens, 1, head / 2), of.device)?.to_dtype(of.dtype)
        };
        let (cos, sin) = (table(|turn| turn.0)?, table(|turn| turn.1)?);
        let turned = self.parts * width / self.of;
        let x = inputs[0].narrow(2, 0, turned)?.reshape((
            sequences,
            tokens,
            self.parts * self.heads,
            head / 2,
            2,
        ))?;
        let (even, odd) = (x.narrow(4, 0, 1)?.squeeze(4)?, x.narrow(4, 1, 1)?.squeeze(4)?);
        let first = (even.broadcast_mul(&cos)? - odd.broadcast_mul(&sin)?)?;
        let second = (even.broadcast_mul(&sin)? + odd.broadcast_mul(&cos)?)?;
        let y = Tensor::stack(&[first, second], 4)?.reshape((sequences, tokens, turned))?;
        let rest = inputs[0].narrow(2, turned, width - turned)?;
        Ok(vec![if turned == width { y } else { Tensor::cat(&[y, rest], D::Minus1)? }])
    }
}
