//! The built-in injectors, recorded.

use looped_graph::{At, Inject, Param, Value};

use crate::{Kept, Operation};

/// The state of the kept tokens meets the embedded prompt, the others' counts as neutral.
pub(crate) struct Meet {
    pub(crate) operation: Operation,
    pub(crate) kept: Kept,
}

impl Meet {
    fn kept<'t>(&self, state: Value<'t>) -> Value<'t> {
        match self.kept {
            Kept::All => state,
            Kept::First(n) => state.keep_first(n, self.operation.neutral()),
            Kept::Last(n) => state.keep_last(n, self.operation.neutral()),
        }
    }
}

impl Inject for Meet {
    fn initial<'t>(&self, at: At<'t>) -> Value<'t> {
        at.input.like(self.operation.neutral())
    }

    fn inject<'t>(&self, state: Value<'t>, at: At<'t>) -> Value<'t> {
        match self.operation {
            Operation::Add => self.kept(state) + at.input,
            Operation::Multiply => self.kept(state) * at.input,
        }
    }

    fn placed<'t>(&self, state: Value<'t>, at: At<'t>, positions: Param) -> Value<'t> {
        match self.operation {
            // In this order prompt and positions add up once for all loops.
            Operation::Add => self.kept(state) + at.input.positions(positions),
            Operation::Multiply => self.inject(state, at).positions(positions),
        }
    }
}

/// The state goes on as it is; the first one is the embedded prompt.
pub(crate) struct PassOn;

impl Inject for PassOn {
    fn initial<'t>(&self, at: At<'t>) -> Value<'t> {
        at.input
    }

    fn inject<'t>(&self, state: Value<'t>, _: At<'t>) -> Value<'t> {
        state
    }
}
