//! Operations of an author's own that aren't what they say.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{Result, Tensor};
use looped_core::graph::ops::{CpuKernel, Custom};
use looped_core::graph::{Reach, Shape};

/// Operations that say they see their own row alone, and do the same in every loop.
#[derive(Debug)]
pub(crate) enum Lying {
    /// The sum of a row and the last.
    SeesTheLast,
    /// The row times half the number of earlier calls, rounded down.
    Counts(AtomicUsize),
}

impl Lying {
    pub(crate) const fn counting() -> Self {
        Self::Counts(AtomicUsize::new(0))
    }
}

impl Custom for Lying {
    fn name(&self) -> String {
        "lying".to_owned()
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        Ok(vec![inputs[0]])
    }

    fn meaning(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let x = &inputs[0];
        Ok(vec![match self {
            Self::SeesTheLast => x.broadcast_add(&x.narrow(1, x.dim(1)? - 1, 1)?)?,
            Self::Counts(calls) => (x * (calls.fetch_add(1, Ordering::Relaxed) / 2) as f64)?,
        }])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }
}

/// The squares of a row; its kernel computes something else, forward or backward alone.
#[derive(Debug)]
pub(crate) struct Squares {
    pub(crate) forward_is_right: bool,
}

impl Custom for Squares {
    fn name(&self) -> String {
        "squares".to_owned()
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        Ok(vec![inputs[0]])
    }

    fn meaning(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![inputs[0].sqr()?])
    }

    fn reach(&self) -> Reach {
        Reach::Own
    }

    fn cpu(&self) -> Option<&dyn CpuKernel> {
        Some(self)
    }
}

impl CpuKernel for Squares {
    fn forward(&self, inputs: &[&[f32]], results: &mut [&mut [f32]]) {
        let factor = if self.forward_is_right { 1.0 } else { 1.01 };
        results[0].iter_mut().zip(inputs[0]).for_each(|(y, x)| *y = factor * x * x);
    }

    fn backward(&self, inputs: &[&[f32]], dresults: &[&[f32]], dinputs: &mut [&mut [f32]]) {
        let factor = if self.forward_is_right { 1.9 } else { 2.0 };
        let each = dinputs[0].iter_mut().zip(inputs[0]).zip(dresults[0]);
        each.for_each(|((dx, x), dy)| *dx += factor * x * dy);
    }
}
