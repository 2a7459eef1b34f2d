//! The derivative of a loop in some directions, by central differences in 64 bits.

use candle_core::{DType, Device, Tensor};
use looped_core::{Looping, Prompts, Result, Stateful};

use crate::eigen::dot;

/// The size of a difference, relative to the state: near the cube root of 1e-16, where rounding and curvature cost about the same.
const DIFFERENCE: f64 = 6e-6;

/// The loops over one prompt, many times over: at a state, and a little to both sides of it in each direction.
pub(super) struct Tangent<'a> {
    looping: Looping<'a>,
    directions: usize,
    tokens: usize,
    width: usize,
    device: &'a Device,
}

impl<'a> Tangent<'a> {
    /// For one prompt in a pass of so many loops, and so many directions at once.
    pub(super) fn new(
        exact: &'a dyn Stateful,
        prompt: &Prompts,
        loops: usize,
        directions: usize,
        device: &'a Device,
    ) -> Result<Self> {
        let copies = 1 + 2 * directions;
        let many = Prompts {
            xs: prompt.xs.repeat(copies),
            ys: prompt.ys.repeat(copies),
            shown: prompt.shown.as_ref().map(|shown| shown.repeat(copies)),
            prompts: copies,
            ..*prompt
        };
        let tokens = prompt.layout.tokens(prompt.points);
        Ok(Self { looping: exact.looping(&many, loops)?, directions, tokens, width: exact.width(), device })
    }

    /// Numbers of a state.
    pub(super) fn size(&self) -> usize {
        self.tokens * self.width
    }

    /// The state that follows on `state` after `done` loops, and the derivative times each of the directions; a direction's length counts.
    pub(super) fn push(
        &mut self,
        state: &[f64],
        directions: &[Vec<f64>],
        done: usize,
    ) -> Result<(Vec<f64>, Vec<Vec<f64>>)> {
        let size = dot(state, state).sqrt().max(f64::MIN_POSITIVE);
        let mut rows = state.to_vec();
        let mut lengths = Vec::with_capacity(directions.len());
        for direction in directions {
            let length = dot(direction, direction).sqrt();
            // A direction that vanished has the derivative 0.
            let step = if length > 0.0 { DIFFERENCE * size / length } else { 0.0 };
            for side in [step, -step] {
                rows.extend(state.iter().zip(direction).map(|(z, v)| z + side * v));
            }
            lengths.push(step);
        }
        // What isn't asked for stands at the state.
        (directions.len()..self.directions).for_each(|_| (0..2).for_each(|_| rows.extend(state)));
        let shape = (1 + 2 * self.directions, self.tokens, self.width);
        self.looping.go_on_from(&Tensor::from_vec(rows, shape, self.device)?, done)?;
        let after: Vec<f64> = self.looping.next_state()?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        let mut parts = after.chunks_exact(self.size());
        let next = parts.next().unwrap_or_default().to_vec();
        let mut derivatives = Vec::with_capacity(directions.len());
        for step in lengths {
            let (above, below) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let scale = if step > 0.0 { 0.5 / step } else { 0.0 };
            derivatives.push(above.iter().zip(below).map(|(a, b)| scale * (a - b)).collect());
        }
        Ok((next, derivatives))
    }
}
