//! The scan of a diagonal state space.

use candle_core::{Result, Tensor};

use super::takes_tokens;
use crate::{Form, Meaning, Op, Reach, Rows, Shape};

/// [`Value::scan`](crate::Value::scan).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan;

impl Op for Scan {
    fn name(&self) -> String {
        "scan".to_owned()
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        let [x, decay, gain, read, skip] = inputs else { return Err("it takes five values".to_owned()) };
        takes_tokens(*x)?;
        if [decay, gain, read, skip].iter().any(|shape| shape.rows != Rows::Once) {
            return Err("decay, gain, read and skip are one row each".to_owned());
        }
        if x.width == 0 || decay.width == 0 || !decay.width.is_multiple_of(x.width) {
            return Err(format!("decay isn't a number for each state of {} channels", x.width));
        }
        if gain != decay || read != decay || skip.width != x.width {
            return Err("decay, gain and read are equally long, and skip is as wide as x".to_owned());
        }
        Ok(vec![*x])
    }

    fn reach(&self) -> Reach {
        Reach::Back
    }

    /// A state's update (3) and its part of the output (2); the skip (2).
    fn flops(&self, inputs: &[Shape], _: usize) -> u64 {
        (5 * inputs[1].width + 2 * inputs[0].width) as u64
    }

    /// What is taken in, what is left and their sum, the states side by side and what is read of them; the outcome in three operations.
    fn kept_by_candle(&self, inputs: &[Shape], tokens: usize) -> u64 {
        (tokens * (5 * inputs[1].width + 3 * inputs[0].width)) as u64
    }

    fn form(&self) -> Form<'_> {
        Form::Scan
    }

    fn meaning(&self, inputs: &[Tensor], of: Meaning<'_>) -> Result<Vec<Tensor>> {
        let (sequences, tokens, width) = inputs[0].dims3()?;
        let states = inputs[1].elem_count() / width;
        let each = |i: usize| inputs[i].reshape((states, width));
        let (x, decay, gain, read) = (&inputs[0], each(1)?, each(2)?, each(3)?);
        // What the inputs add to the states, for all tokens at once: (prompts, tokens, states, width).
        let taken_in = x.unsqueeze(2)?.broadcast_mul(&gain)?;
        let mut state = Tensor::zeros((sequences, states, width), of.dtype, of.device)?;
        let mut all = Vec::with_capacity(tokens);
        for token in 0..tokens {
            state = (state.broadcast_mul(&decay)? + taken_in.narrow(1, token, 1)?.squeeze(1)?)?;
            all.push(state.clone());
        }
        let from_states = Tensor::stack(&all, 1)?.broadcast_mul(&read)?.sum(2)?;
        Ok(vec![(from_states + x.broadcast_mul(&inputs[4])?)?])
    }
}
