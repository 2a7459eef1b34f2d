//! Launches of kernels whose text a caller brings.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Argument, Launch};
use crate::source::{Code, OwnSource};
use crate::{Element, Error, Operation, Result, Span};

/// What a kernel of one's own is given.
#[derive(Clone, Copy, Debug)]
pub enum Given {
    /// A place that it only reads.
    Read(Span),
    /// A place that it writes.
    Write(Span),
    /// A place that it only reads, or null.
    ReadMaybe(Option<Span>),
    /// A place of bf16 that it writes.
    WriteLow(Span),
    /// An integer.
    Int(usize),
}

/// Kernels whose text a caller brings; [`Source`](crate::Source)'s helpers are known in it.
#[derive(Clone, Debug)]
pub struct Own(Arc<OwnSource>);

impl Own {
    /// Kernels from their text, each declared as `KERNEL(threads) name(parameters) {`, on a line of its own.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Arc::new(OwnSource::new(text)))
    }

    /// The whole source, as it is compiled.
    #[must_use]
    pub fn text(&self) -> String {
        Code::Own(Arc::clone(&self.0)).text()
    }

    /// A launch of one of them.
    ///
    /// The caller vouches for what no check can see: that the kernel touches nothing outside of the places that it is given.
    ///
    /// # Errors
    /// If the kernel takes something else.
    pub fn launch(&self, kernel: &str, grid: [usize; 2], given: &[Given]) -> Result<Operation> {
        let wrong = |problem: String| Error::Operation { operation: kernel.to_owned(), problem };
        let argument = |given: &Given| {
            Ok(match *given {
                Given::Read(span) | Given::Write(span) if span.element() != Element::F32 => {
                    return Err(wrong(format!("a place of {:?}", span.element())));
                }
                Given::ReadMaybe(Some(span)) if span.element() != Element::F32 => {
                    return Err(wrong(format!("a place of {:?}", span.element())));
                }
                Given::WriteLow(span) if span.element() != Element::Bf16 => {
                    return Err(wrong(format!("a place of {:?} for bf16", span.element())));
                }
                Given::Read(span) => Argument::Read(Some(span)),
                Given::ReadMaybe(span) => Argument::Read(span),
                Given::WriteLow(span) => Argument::Write(Some(span)),
                Given::Write(span) => Argument::Write(Some(span)),
                Given::Int(value) => {
                    Argument::Int(i32::try_from(value).map_err(|_| wrong(format!("{value} is too large")))?)
                }
            })
        };
        if grid.contains(&0) || grid[0] > i32::MAX as usize || grid[1] > 65_535 {
            return Err(wrong(format!("a grid of {grid:?} blocks")));
        }
        let launch = Launch {
            kernel: Cow::Owned(kernel.to_owned()),
            code: Code::Own(Arc::clone(&self.0)),
            grid: grid.map(|n| n as u32),
            shared: 0,
            arguments: given.iter().map(argument).collect::<Result<_>>()?,
        };
        match launch.problem() {
            Some(problem) => Err(wrong(problem)),
            None => Ok(Operation::Launch(launch)),
        }
    }
}
