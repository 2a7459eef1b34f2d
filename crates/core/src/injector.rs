//! What flows from loop to loop.

use std::fmt::Debug;

use candle_core::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::recorded::{Meet, PassOn};
use crate::{Error, ModelDims, Problems, Result};

/// Where in the loops, and in the tokens, an injection happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopStep {
    /// The loop, from 0.
    pub index: usize,
    /// Tokens of the whole sequence.
    pub tokens: usize,
    /// The token that the given tensors start at: not 0 where a prefix is left out (see
    /// [`Injector::invariant_prefix`]).
    pub first_token: usize,
}

/// Makes a loop's input of the last loop's state and the embedded prompt.
#[typetag::serde(tag = "type")]
pub trait Injector: Debug + Send + Sync {
    /// Reports settings that can't work; keys are relative to the injector's table.
    fn validate(&self, dims: &ModelDims, problems: &mut Problems) {
        let _ = (dims, problems);
    }

    /// The state before the first loop.
    ///
    /// # Shapes
    /// `input`, the embedded prompt, and the result are (batch, tokens, width).
    ///
    /// # Errors
    /// If a tensor operation fails, or the injector has a recorded form only.
    fn initial(&self, input: &Tensor) -> Result<Tensor> {
        let _ = input;
        Err(Error::RecordedOnly(format!("the injector `{}`", self.typetag_name())))
    }

    /// The input of a loop.
    ///
    /// # Shapes
    /// `state`, `input` and the result are (batch, `at.tokens - at.first_token`, width).
    ///
    /// # Errors
    /// If a tensor operation fails, or the injector has a recorded form only.
    fn inject(&self, state: &Tensor, input: &Tensor, at: LoopStep) -> Result<Tensor> {
        let _ = (state, input, at);
        Err(Error::RecordedOnly(format!("the injector `{}`", self.typetag_name())))
    }

    /// How many leading tokens never see the state and get the same input in every loop: with causal blocks their
    /// outputs are the same in every loop, and are computed once.
    fn invariant_prefix(&self, tokens: usize) -> usize {
        let _ = tokens;
        0
    }

    /// A setting that changes nothing for sequences of so many tokens, and what it then does, as in "n: is 30, which keeps
    /// the state of all 22 tokens"; keys are relative to the injector's table.
    fn idle(&self, tokens: usize) -> Option<String> {
        let _ = tokens;
        None
    }

    /// Makes the injector's recorded form, which every engine can run, its parameters named below `params`' prefix.
    ///
    /// `None` is an injector written for candle alone.
    fn record(
        &self,
        dims: &ModelDims,
        params: &mut looped_graph::Params<'_>,
    ) -> Option<Box<dyn looped_graph::Inject>> {
        let _ = (dims, params);
        None
    }

    /// The injection as the fused CPU engine knows it; `None` leaves the model to the candle engine.
    fn fused(&self) -> Option<FusedInjection> {
        None
    }
}

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

    fn neutral_like(self, tensor: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Add => tensor.zeros_like()?,
            Self::Multiply => tensor.ones_like()?,
        })
    }

    fn apply(self, state: &Tensor, input: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Add => (state + input)?,
            Self::Multiply => (state * input)?,
        })
    }
}

/// Which tokens of a sequence keep their state from loop to loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Every token.
    All,
    /// So many of the first.
    First(usize),
    /// So many of the last.
    Last(usize),
}

/// What the fused engine needs to know of an injector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FusedInjection {
    /// The state of the kept tokens meets the input, the others' counts as neutral.
    Combine {
        /// How they meet.
        operation: Operation,
        /// Whose state is kept.
        kept: Kept,
    },
    /// The state is passed on as it is; the first one is the embedded prompt.
    Keep,
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
    fn initial(&self, input: &Tensor) -> Result<Tensor> {
        self.operation.neutral_like(input)
    }

    fn inject(&self, state: &Tensor, input: &Tensor, _: LoopStep) -> Result<Tensor> {
        self.operation.apply(state, input)
    }

    fn record(
        &self,
        _: &ModelDims,
        _: &mut looped_graph::Params<'_>,
    ) -> Option<Box<dyn looped_graph::Inject>> {
        Some(Box::new(Meet { operation: self.operation, kept: Kept::All }))
    }

    fn fused(&self) -> Option<FusedInjection> {
        Some(FusedInjection::Combine { operation: self.operation, kept: Kept::All })
    }
}

fn keeps_all(n: impl std::fmt::Display, tokens: usize) -> String {
    format!("n: is {n}, which keeps the state of all {tokens} tokens")
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

    fn initial(&self, input: &Tensor) -> Result<Tensor> {
        self.operation.neutral_like(input)
    }

    fn inject(&self, state: &Tensor, input: &Tensor, at: LoopStep) -> Result<Tensor> {
        let dropped = self.invariant_prefix(at.tokens).saturating_sub(at.first_token);
        if dropped == 0 {
            return self.operation.apply(state, input);
        }
        // A dropped state is neutral, so there the input stands alone.
        let alone = input.narrow(1, 0, dropped)?;
        let rest = input.dim(1)? - dropped;
        if rest == 0 {
            return Ok(alone);
        }
        let met = self.operation.apply(&state.narrow(1, dropped, rest)?, &input.narrow(1, dropped, rest)?)?;
        Ok(Tensor::cat(&[alone, met], 1)?)
    }

    fn invariant_prefix(&self, tokens: usize) -> usize {
        tokens.saturating_sub(self.kept())
    }

    fn idle(&self, tokens: usize) -> Option<String> {
        // -1 asks for all.
        (self.n >= 0 && self.kept() >= tokens).then(|| keeps_all(self.n, tokens))
    }

    fn record(
        &self,
        _: &ModelDims,
        _: &mut looped_graph::Params<'_>,
    ) -> Option<Box<dyn looped_graph::Inject>> {
        Some(Box::new(Meet { operation: self.operation, kept: Kept::Last(self.kept()) }))
    }

    fn fused(&self) -> Option<FusedInjection> {
        Some(FusedInjection::Combine { operation: self.operation, kept: Kept::Last(self.kept()) })
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
    fn initial(&self, input: &Tensor) -> Result<Tensor> {
        self.operation.neutral_like(input)
    }

    fn inject(&self, state: &Tensor, input: &Tensor, at: LoopStep) -> Result<Tensor> {
        let count = input.dim(1)?;
        let kept = self.n.saturating_sub(at.first_token).min(count);
        let met = self.operation.apply(&state.narrow(1, 0, kept)?, &input.narrow(1, 0, kept)?)?;
        Ok(Tensor::cat(&[met, input.narrow(1, kept, count - kept)?], 1)?)
    }

    fn idle(&self, tokens: usize) -> Option<String> {
        (self.n >= tokens).then(|| keeps_all(self.n, tokens))
    }

    fn record(
        &self,
        _: &ModelDims,
        _: &mut looped_graph::Params<'_>,
    ) -> Option<Box<dyn looped_graph::Inject>> {
        Some(Box::new(Meet { operation: self.operation, kept: Kept::First(self.n) }))
    }

    fn fused(&self) -> Option<FusedInjection> {
        Some(FusedInjection::Combine { operation: self.operation, kept: Kept::First(self.n) })
    }
}

/// No injection: the first state is the embedded prompt, and each loop works on the last one's output alone.
///
/// With one loop this is the standard transformer, with more the weight-tied one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoInjection {}

#[typetag::serde(name = "none")]
impl Injector for NoInjection {
    fn initial(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.clone())
    }

    fn inject(&self, state: &Tensor, _: &Tensor, _: LoopStep) -> Result<Tensor> {
        Ok(state.clone())
    }

    fn record(
        &self,
        _: &ModelDims,
        _: &mut looped_graph::Params<'_>,
    ) -> Option<Box<dyn looped_graph::Inject>> {
        Some(Box::new(PassOn))
    }

    fn fused(&self) -> Option<FusedInjection> {
        Some(FusedInjection::Keep)
    }
}

crate::register!(Injector, "full", Full);
crate::register!(Injector, "last_n", LastN);
crate::register!(Injector, "first_n", FirstN);
crate::register!(Injector, "none", NoInjection);

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn tokens(values: &[f32]) -> Tensor {
        Tensor::from_slice(values, (1, values.len(), 1), &Device::Cpu).unwrap()
    }

    fn injected(injector: &dyn Injector, first_token: usize, state: &[f32], input: &[f32]) -> Vec<f32> {
        let at = LoopStep { index: 1, tokens: first_token + input.len(), first_token };
        let out = injector.inject(&tokens(state), &tokens(input), at).unwrap();
        out.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn last_n_keeps_the_last_tokens_of_the_whole_sequence() {
        let (state, input) = ([1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]);
        let last = |n| LastN { n, operation: Operation::Add };
        assert_eq!(injected(&last(2), 0, &state, &input), [10.0, 20.0, 33.0, 44.0]);
        assert_eq!(injected(&last(0), 0, &state, &input), input);
        for all in [-1, 4, 99] {
            assert_eq!(injected(&last(all), 0, &state, &input), [11.0, 22.0, 33.0, 44.0]);
        }
        // The same sequence with its first two tokens left out.
        assert_eq!(injected(&last(2), 2, &state[2..], &input[2..]), [33.0, 44.0]);
        let product = LastN { n: 1, operation: Operation::Multiply };
        assert_eq!(injected(&product, 0, &state, &input), [10.0, 20.0, 30.0, 160.0]);
    }

    #[test]
    fn first_n_keeps_the_first_tokens() {
        let (state, input) = ([1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]);
        let first = |n, operation| FirstN { n, operation };
        let add = Operation::Add;
        assert_eq!(injected(&first(3, add), 0, &state, &input), [11.0, 22.0, 33.0, 40.0]);
        assert_eq!(injected(&first(0, add), 0, &state, &input), input);
        assert_eq!(injected(&first(9, add), 0, &state, &input), [11.0, 22.0, 33.0, 44.0]);
        assert_eq!(injected(&first(1, Operation::Multiply), 0, &state, &input), [10.0, 20.0, 30.0, 40.0]);
        assert_eq!(injected(&first(2, Operation::Multiply), 0, &state, &input), [10.0, 40.0, 30.0, 40.0]);
        // The same sequence with its first two tokens left out.
        assert_eq!(injected(&first(3, add), 2, &state[2..], &input[2..]), [33.0, 40.0]);
    }

    #[test]
    fn every_injector_round_trips_through_its_config() {
        for text in [
            r#"{"type":"full","operation":"multiply"}"#,
            r#"{"type":"last_n","n":20,"operation":"add"}"#,
            r#"{"type":"first_n","n":20,"operation":"multiply"}"#,
            r#"{"type":"none"}"#,
        ] {
            let injector: Box<dyn Injector> = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&injector).unwrap(), text);
        }
        assert!(serde_json::from_str::<Box<dyn Injector>>(r#"{"type":"none","n":1}"#).is_err());
    }
}
