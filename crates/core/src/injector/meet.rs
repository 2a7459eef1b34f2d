//! The state of all tokens, or of some, meets the embedded prompt.

use looped_graph::{At, Inject, Param, Params, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Injector, ModelDims, Problems};

/// How a state and the embedded prompt become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// z = f(x + z), from Z = 0.
    #[default]
    Add,
    /// z = f(x * z), from Z = 1.
    Multiply,
}

impl Operation {
    /// The state that leaves the input as it is: 0 or 1.
    #[must_use]
    pub const fn neutral(self) -> f32 {
        match self {
            Self::Add => 0.0,
            Self::Multiply => 1.0,
        }
    }
}

/// Every token's state meets the embedded prompt: z = f(x + z), or f(x * z).
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Full {
    /// How the state and the prompt meet.
    #[serde(default)]
    pub operation: Operation,
}

#[typetag::serde(name = "full")]
impl Injector for Full {
    fn build(&self, _: &ModelDims, _: &mut Params<'_>) -> Box<dyn Inject> {
        Box::new(Meet { operation: self.operation, kept: Kept::All })
    }
}

/// Only the last n tokens keep their state; the others start every loop from the embedded prompt alone.
///
/// A prompt of k points has 2k tokens. With causal blocks the tokens before the last n have the same output in every
/// loop, so they are computed once.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LastN {
    /// Tokens that keep their state; -1, or at least as many as there are, keeps all.
    #[schemars(range(min = -1))]
    pub n: i64,
    /// How the state and the prompt meet.
    #[serde(default)]
    pub operation: Operation,
}

impl LastN {
    fn kept(&self) -> usize {
        usize::try_from(self.n).unwrap_or(usize::MAX)
    }
}

#[typetag::serde(name = "last_n")]
impl Injector for LastN {
    fn validate(&self, _: &ModelDims, problems: &mut Problems) {
        problems
            .require(self.n >= -1, "n", || format!("is {}; allowed: -1 (all tokens), 0, 1, 2, ...", self.n));
    }

    fn idle(&self, tokens: usize) -> Option<String> {
        // -1 asks for all.
        (self.n >= 0 && self.kept() >= tokens).then(|| keeps_all(self.n, tokens))
    }

    fn build(&self, _: &ModelDims, _: &mut Params<'_>) -> Box<dyn Inject> {
        Box::new(Meet { operation: self.operation, kept: Kept::Last(self.kept()) })
    }
}

/// Only the first n tokens keep their state; the others start every loop from the embedded prompt alone.
///
/// The counterpart of [`LastN`]: it tells apart which tokens lose their state from how many. The later tokens see the
/// earlier ones' changing outputs, so nothing stays the same from loop to loop.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FirstN {
    /// Tokens that keep their state; as many as there are, or more, keep all.
    pub n: usize,
    /// How the state and the prompt meet.
    #[serde(default)]
    pub operation: Operation,
}

#[typetag::serde(name = "first_n")]
impl Injector for FirstN {
    fn idle(&self, tokens: usize) -> Option<String> {
        (self.n >= tokens).then(|| keeps_all(self.n, tokens))
    }

    fn build(&self, _: &ModelDims, _: &mut Params<'_>) -> Box<dyn Inject> {
        Box::new(Meet { operation: self.operation, kept: Kept::First(self.n) })
    }
}

crate::register!(Injector, "full", Full);
crate::register!(Injector, "last_n", LastN);
crate::register!(Injector, "first_n", FirstN);

fn keeps_all(n: impl std::fmt::Display, tokens: usize) -> String {
    format!("n: is {n}, which keeps the state of all {tokens} tokens")
}

/// Which tokens of a sequence keep their state from loop to loop.
enum Kept {
    All,
    First(usize),
    Last(usize),
}

/// The state of the kept tokens meets the embedded prompt, the others' counts as neutral.
struct Meet {
    operation: Operation,
    kept: Kept,
}

impl Meet {
    fn or<'t>(&self, state: Value<'t>, lost: f32) -> Value<'t> {
        match self.kept {
            Kept::All => state,
            Kept::First(n) => state.keep_first(n, lost),
            Kept::Last(n) => state.keep_last(n, lost),
        }
    }

    fn or_neutral<'t>(&self, state: Value<'t>) -> Value<'t> {
        self.or(state, self.operation.neutral())
    }
}

impl Inject for Meet {
    fn initial<'t>(&self, at: At<'t>) -> Value<'t> {
        at.input.like(self.operation.neutral())
    }

    fn inject<'t>(&self, state: Value<'t>, at: At<'t>) -> Value<'t> {
        match self.operation {
            Operation::Add => self.or_neutral(state) + at.input,
            Operation::Multiply => self.or_neutral(state) * at.input,
        }
    }

    fn kept<'t>(&self, value: Value<'t>) -> Value<'t> {
        self.or(value, 0.0)
    }

    fn placed<'t>(&self, state: Value<'t>, at: At<'t>, positions: Param) -> Value<'t> {
        match self.operation {
            // In this order prompt and positions add up once for all loops.
            Operation::Add => self.or_neutral(state) + at.input.positions(positions),
            Operation::Multiply => self.inject(state, at).positions(positions),
        }
    }
}
