//! The state of the tokens at some places of a repeating pattern.

use looped_graph::{At, Inject, Params, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Injector, ModelDims, Problems};

/// Tokens keep their state by a pattern that repeats along the prompt; the others start every loop from the embedded prompt alone:
/// z = f(x + z), or f(x), from Z = 0.
///
/// A prompt's tokens are x, y, x, y, ...: `keep = [true, false]` lets the x tokens alone keep their state, `[false, true]` the y tokens, and
/// `[true, true, false, false]` both tokens of every other point. The tokens that keep none see the changing outputs of those before them, so
/// nothing stays the same from loop to loop.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// Whether a token keeps its state, for one token after the other; then the list begins anew.
    #[schemars(length(min = 2, max = 64))]
    pub keep: Vec<bool>,
}

#[typetag::serde(name = "pattern")]
impl Injector for Pattern {
    fn validate(&self, _: &ModelDims, problems: &mut Problems) {
        problems.require((2..=64).contains(&self.keep.len()), "keep", || {
            format!("has {} entries; allowed: 2 to 64", self.keep.len())
        });
    }

    fn idle(&self, tokens: usize) -> Option<String> {
        let kept = self.keep.iter().take(tokens).filter(|kept| **kept).count();
        match kept {
            0 => Some(format!("keep: drops the state of all {tokens} tokens")),
            kept if kept == tokens.min(self.keep.len()) => {
                Some(format!("keep: keeps the state of all {tokens} tokens"))
            }
            _ => None,
        }
    }

    fn build(&self, _: &ModelDims, _: &mut Params<'_>) -> Box<dyn Inject> {
        Box::new(Places(self.keep.clone()))
    }
}

crate::register!(Injector, "pattern", Pattern);

struct Places(Vec<bool>);

impl Places {
    /// 1 in the rows of tokens that keep their state and 0 in the others', as wide as `value`. Of the value nothing but its shape counts.
    #[expect(clippy::cast_precision_loss, reason = "a pattern has at most 64 places")]
    fn mask<'t>(&self, value: Value<'t>) -> Value<'t> {
        let places = self.0.len() as f32;
        // A token's place in the pattern, the first being 1: one more than that of the token before it, and 1 again after the last.
        let [place] = value.like(0.0).recur([value.width()], |_, [place]| {
            let is_last = (place - (places - 1.0)).relu();
            [place - is_last * places + 1.0]
        });
        // 1 at one place, 0 at all others.
        let at = |index: usize| {
            let beyond = |by: f32| (place - (index as f32 + by)).relu();
            beyond(0.0) - beyond(1.0) * 2.0 + beyond(2.0)
        };
        let kept = self.0.iter().enumerate().filter(|(_, kept)| **kept).map(|(index, _)| at(index));
        kept.reduce(|a, b| a + b).unwrap_or_else(|| value.like(0.0))
    }
}

impl Inject for Places {
    fn initial<'t>(&self, at: At<'t>) -> Value<'t> {
        at.input.like(0.0)
    }

    fn inject<'t>(&self, state: Value<'t>, at: At<'t>) -> Value<'t> {
        at.input + state * self.mask(at.input)
    }

    fn kept<'t>(&self, value: Value<'t>) -> Value<'t> {
        value * self.mask(value)
    }
}
