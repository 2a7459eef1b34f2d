//! What an author of a part writes.

use crate::ops::Beyond;
use crate::{Param, Trace, Value};

/// What a part can see besides its input.
#[derive(Clone, Copy, Debug)]
pub struct At<'t> {
    /// The embedded prompt, without positions.
    pub input: Value<'t>,
    trace: &'t Trace,
}

impl<'t> At<'t> {
    /// Beside this embedded prompt.
    #[must_use]
    pub const fn new(input: Value<'t>) -> Self {
        Self { input, trace: input.trace() }
    }

    /// The row of a table, (loops, width), that belongs to the present loop. Loops beyond the table get its last row.
    #[must_use]
    #[track_caller]
    pub fn by_loop(&self, table: Param) -> Value<'t> {
        self.by_loop_or(table, Beyond::Clamp)
    }

    /// The same, and loops beyond the table get what `beyond` says.
    #[must_use]
    #[track_caller]
    pub fn by_loop_or(&self, table: Param, beyond: Beyond) -> Value<'t> {
        self.trace.by_loop(table, beyond)
    }

    /// Records `part` under a name, below that of the part around it; errors and tables show it.
    pub fn scope<T>(&self, name: impl std::fmt::Display, part: impl FnOnce() -> T) -> T {
        self.trace.scope(name, part)
    }

    /// A parameter as one row of numbers.
    #[must_use]
    #[track_caller]
    pub fn param(&self, param: Param) -> Value<'t> {
        self.trace.param(param)
    }
}

/// A shape-preserving map of token states, written once: recorded when a model is built, and never run itself.
pub trait Block: Send + Sync {
    /// Records the block's output.
    fn forward<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t>;
}

/// What flows from loop to loop, with its parameters.
pub trait Inject: Send + Sync {
    /// The state before the first loop, as wide as `at.input`.
    fn initial<'t>(&self, at: At<'t>) -> Value<'t>;

    /// The input of a loop.
    fn inject<'t>(&self, state: Value<'t>, at: At<'t>) -> Value<'t>;

    /// A value at the tokens that keep their state from loop to loop, and 0 at the others: all keep it, unless said otherwise. A relaxed loop goes
    /// a part of the way from the state before it, and a token without one goes all of it.
    fn kept<'t>(&self, value: Value<'t>) -> Value<'t> {
        value
    }

    /// The input of a loop with the positions added; where they are added decides what can be computed once.
    fn placed<'t>(&self, state: Value<'t>, at: At<'t>, positions: Param) -> Value<'t> {
        self.inject(state, at).positions(positions)
    }
}
