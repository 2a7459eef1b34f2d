//! What all launches are made with.

use std::borrow::Cow;

use super::{Argument, Launch};
use crate::source::{Code, Source};
use crate::{Element, Error, Operation, Result, Span};

/// Collects a launch's arguments, and the first thing that is wrong with them.
pub(super) struct Builder {
    pub(super) kernel: &'static str,
    pub(super) source: Source,
    pub(super) arguments: Vec<Argument>,
    pub(super) problem: Option<String>,
}

impl Builder {
    pub(super) fn check(
        &mut self,
        span: Option<Span>,
        len: usize,
        element: Element,
        aligned: usize,
    ) -> Option<Span> {
        let span = span?;
        let place = self.arguments.len();
        if span.len() < len || span.element() != element {
            let has = format!("{} {:?}", span.len(), span.element());
            self.problem.get_or_insert(format!("argument {place} holds {has}, not {len} {element:?}"));
        }
        if !(span.alignment() as usize).is_multiple_of(aligned) {
            self.problem.get_or_insert(format!("argument {place} isn't aligned to {aligned} bytes"));
        }
        Some(span)
    }

    /// A place of floats that rows are read from or written to.
    pub(super) fn aligned(&self, element: Element) -> usize {
        let run = match self.source.width {
            width if width.is_multiple_of(128) => 4,
            width if width.is_multiple_of(64) => 2,
            _ => 1,
        };
        run * element.bytes()
    }

    pub(super) fn read(self, span: Span, len: usize) -> Self {
        self.read_maybe(Some(span), len)
    }

    pub(super) fn read_maybe(mut self, span: Option<Span>, len: usize) -> Self {
        let span = self.check(span, len, Element::F32, self.aligned(Element::F32));
        self.arguments.push(Argument::Read(span));
        self
    }

    pub(super) fn write(self, span: Span, len: usize) -> Self {
        self.write_maybe(Some(span), len)
    }

    pub(super) fn write_maybe(mut self, span: Option<Span>, len: usize) -> Self {
        let span = self.check(span, len, Element::F32, self.aligned(Element::F32));
        self.arguments.push(Argument::Write(span));
        self
    }

    /// A place of stored values, loaded `bytes` at a time.
    pub(super) fn read_stored(mut self, span: Span, len: usize, bytes: usize) -> Self {
        let span = self.check(Some(span), len, self.source.storage.element(), bytes);
        self.arguments.push(Argument::Read(span));
        self
    }

    pub(super) fn write_stored(mut self, span: Option<Span>, len: usize, bytes: usize) -> Self {
        let span = self.check(span, len, self.source.storage.element(), bytes);
        self.arguments.push(Argument::Write(span));
        self
    }

    /// A place of another element.
    pub(super) fn other(mut self, span: Span, len: usize, element: Element, writes: bool) -> Self {
        let span = self.check(Some(span), len, element, element.bytes());
        self.arguments.push(if writes { Argument::Write(span) } else { Argument::Read(span) });
        self
    }

    /// A place of floats in any alignment, or null.
    pub(super) fn read_maybe_any(mut self, span: Option<Span>) -> Self {
        let span = span.filter(|span| span.len() > 0);
        let span = self.check(span, 0, Element::F32, Element::F32.bytes());
        self.arguments.push(Argument::Read(span));
        self
    }

    pub(super) fn write_maybe_any(mut self, span: Option<Span>) -> Self {
        let span = span.filter(|span| span.len() > 0);
        let span = self.check(span, 0, Element::F32, Element::F32.bytes());
        self.arguments.push(Argument::Write(span));
        self
    }

    pub(super) fn int(mut self, value: usize) -> Self {
        match i32::try_from(value) {
            Ok(value) => self.arguments.push(Argument::Int(value)),
            Err(_) => {
                self.problem.get_or_insert(format!("{value} is past a kernel's integers"));
            }
        }
        self
    }

    pub(super) fn float(mut self, value: f32) -> Self {
        self.arguments.push(Argument::Float(value));
        self
    }

    pub(super) fn launch(self, blocks: usize) -> Result<Operation> {
        self.launch_plane([blocks, 1], 0)
    }

    pub(super) fn launch_plane(mut self, grid: [usize; 2], shared: usize) -> Result<Operation> {
        if grid.contains(&0) || grid[0] > i32::MAX as usize || grid[1] > 65_535 {
            self.problem.get_or_insert(format!("a grid of {grid:?} blocks"));
        }
        if let Some(problem) = self.problem {
            return Err(Error::Operation { operation: self.kernel.to_owned(), problem });
        }
        let (code, grid) = (Code::built(self.kernel, self.source), grid.map(|n| n as u32));
        let (kernel, shared, arguments) = (Cow::Borrowed(self.kernel), shared as u32, self.arguments);
        Ok(Operation::Launch(Launch { kernel, code, grid, shared, arguments }))
    }
}
