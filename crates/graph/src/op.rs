//! What an operation must say of itself.

use std::fmt::Debug;

use candle_core::{DType, Device, Result, Tensor};

use crate::{Param, Shape, form::Form};

/// Which rows of a prompt's tokens a row of the result sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Its own.
    Own,
    /// Its own and all before it.
    Back,
    /// All.
    All,
}

/// What the meaning of an operation may ask for besides its inputs.
#[derive(Clone, Copy, Debug)]
pub struct Meaning<'a> {
    /// The parameters' values, in the graph's order.
    pub params: &'a [Tensor],
    /// The loop, from 0.
    pub index: usize,
    /// Loops in all.
    pub loops: usize,
    /// Prompts in the batch.
    pub sequences: usize,
    /// Tokens of each.
    pub tokens: usize,
    /// The type that is computed in.
    pub dtype: DType,
    /// Where it is computed.
    pub device: &'a Device,
}

impl Meaning<'_> {
    /// The value of a parameter, in its own shape.
    #[must_use]
    pub fn param(&self, param: Param) -> &Tensor {
        &self.params[param.index()]
    }
}

/// An operation of the graph: one thing that a value may be computed by, with all its rules.
pub trait Op: Debug + Send + Sync + 'static {
    /// What it is called in errors and tables, with its parameter's name where it has one.
    fn name(&self) -> String;

    /// The shapes of its results, or why it can't take these inputs.
    ///
    /// # Errors
    /// If it can't. The message goes on after "linear of (tokens, 24): ".
    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String>;

    /// Which rows of each input a row of the results sees. A reach that is too small trains wrongly and says nothing, so there is
    /// no default.
    fn reach(&self) -> Reach;

    /// The parameters that it reads.
    fn params(&self) -> Vec<Param> {
        Vec::new()
    }

    /// Whether it is cheap enough to be done again for the backward pass, instead of being kept.
    fn light(&self) -> bool {
        false
    }

    /// Whether its results depend on the loop's number.
    fn by_loop(&self) -> bool {
        false
    }

    /// Whether no gradient goes through it.
    fn stops_gradient(&self) -> bool {
        false
    }

    /// How many leading rows of the result are the same in every loop, of `tokens`, if `inputs` of its inputs' are. This is for operations
    /// that replace rows; for all others the answer follows from their reach.
    fn invariant_rows(&self, inputs: usize, tokens: usize) -> usize {
        match self.reach() {
            Reach::All if inputs < tokens => 0,
            _ => inputs,
        }
    }

    /// Floating-point operations for one row of the result that has `earlier` rows before it; a product of (m, k) and (k, n) counts
    /// 2mkn, elementwise work nothing.
    fn flops(&self, inputs: &[Shape], earlier: usize) -> u64 {
        let _ = (inputs, earlier);
        0
    }

    /// About how many numbers candle keeps of its meaning for the backward pass over one prompt of so many tokens: each operation's result.
    /// Unless said otherwise, its own results alone.
    fn kept_by_candle(&self, inputs: &[Shape], tokens: usize) -> u64 {
        let results = self.shapes(inputs).unwrap_or_default();
        results.iter().map(|shape| shape.numbers(tokens)).sum()
    }

    /// Which kernels compute it.
    fn form(&self) -> Form<'_>;

    /// What it computes, in candle's operations, on any device and in any type, differentiable.
    ///
    /// # Shapes
    /// A value of [`Rows::Tokens`](crate::Rows::Tokens) is (prompts, tokens, width), one of `Sequences` (prompts, 1, width), one of `Once` (1, 1, width).
    ///
    /// # Errors
    /// If a tensor operation fails.
    fn meaning(&self, inputs: &[Tensor], of: Meaning<'_>) -> Result<Vec<Tensor>>;
}
