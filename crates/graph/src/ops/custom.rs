//! Operations that this crate doesn't know.

use std::fmt;
use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::{Form, Meaning, Op, Reach, Shape};

/// An operation of an author's own.
///
/// Its meaning is enough: candle then gives its gradient, and every engine runs it, the fast ones with a word about it.
pub trait Custom: fmt::Debug + Send + Sync + 'static {
    /// What it is called in errors and tables.
    fn name(&self) -> String;

    /// The shapes of its results, or why it can't take these inputs.
    ///
    /// # Errors
    /// If it can't.
    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String>;

    /// What it computes; shapes as in [`Op::meaning`].
    ///
    /// # Errors
    /// If a tensor operation fails.
    fn meaning(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>>;

    /// Which rows of its inputs a row of its results sees. That it sees all is always right, and costs the sharing of rows that never change.
    fn reach(&self) -> Reach {
        Reach::All
    }

    /// Its form for engines that compute on the CPU's memory; without one they run its meaning by candle.
    fn cpu(&self) -> Option<&dyn CpuKernel> {
        None
    }

    /// Its form for the engine on a GPU, which refuses an operation without one.
    fn cuda(&self) -> Option<CudaText> {
        None
    }
}

/// The same in CUDA C, with its derivatives: the bodies of two functions, which the CUDA engine compiles when the model is first used.
///
/// A body is run for one row, by all threads of a block. It finds `thread`, from 0, and `threads`, and goes through its work as in
/// `for (int i = thread; i < width_out_0; i += threads)`. A row's numbers are `in_0`, `in_1`, ... (`const float*`), as many as the constants
/// `width_in_0`, ... say, and results are written to `out_0`, ... (`float*`) of `width_out_0`, ... numbers. Of a value that is one row for all
/// prompts it is that row. As a [`CpuKernel`], this is for operations of [`Reach::Own`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CudaText {
    /// Computes `out_0`, ... from `in_0`, ...
    pub forward: &'static str,
    /// Adds to `din_0`, ..., the gradients with respect to the inputs, those with respect to the results being `dout_0`, ... No two threads
    /// may add to one number.
    pub backward: &'static str,
}

/// The same on plain memory, with its derivatives: what a fast engine runs in [`Custom::meaning`]'s place.
///
/// Every slice holds whole rows, one after another, of the width that [`Custom::shapes`] says; of a value that is one row for all prompts,
/// that row. An engine may call it on a part of the rows, so it is for operations of [`Reach::Own`] alone.
pub trait CpuKernel: Send + Sync {
    /// Computes the results' rows.
    fn forward(&self, inputs: &[&[f32]], results: &mut [&mut [f32]]);

    /// Adds to the gradients with respect to the inputs, those with respect to the results being given.
    fn backward(&self, inputs: &[&[f32]], dresults: &[&[f32]], dinputs: &mut [&mut [f32]]);
}

/// A [`Custom`] operation in a graph.
#[derive(Clone, Debug)]
pub struct CustomOp(pub Arc<dyn Custom>);

impl Op for CustomOp {
    fn name(&self) -> String {
        self.0.name()
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        self.0.shapes(inputs)
    }

    fn reach(&self) -> Reach {
        self.0.reach()
    }

    fn form(&self) -> Form<'_> {
        Form::Custom(&self.0)
    }

    fn meaning(&self, inputs: &[Tensor], _: Meaning<'_>) -> Result<Vec<Tensor>> {
        self.0.meaning(inputs)
    }
}

type Function = dyn Fn(&[Tensor]) -> Result<Tensor> + Send + Sync;

/// A closure over candle tensors as a [`Custom`] operation with one result, as wide as its first input.
pub struct Candle {
    name: String,
    function: Box<Function>,
}

impl Candle {
    /// Under a name, for errors and tables.
    pub fn new(name: &str, function: impl Fn(&[Tensor]) -> Result<Tensor> + Send + Sync + 'static) -> Self {
        Self { name: name.to_owned(), function: Box::new(function) }
    }
}

impl fmt::Debug for Candle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candle").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Custom for Candle {
    fn name(&self) -> String {
        format!("candle `{}`", self.name)
    }

    fn shapes(&self, inputs: &[Shape]) -> std::result::Result<Vec<Shape>, String> {
        inputs.first().map(|shape| vec![*shape]).ok_or_else(|| "it takes at least one value".to_owned())
    }

    fn meaning(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![(self.function)(inputs)?])
    }
}
