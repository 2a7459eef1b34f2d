//! What flows from loop to loop.

mod concat;
mod learned_gate;
mod meet;
mod none;
mod pattern;

use std::fmt::Debug;

use looped_graph::{Inject, Params};

pub use concat::Concat;
pub use learned_gate::LearnedGate;
pub use meet::{FirstN, Full, LastN, Operation};
pub use none::NoInjection;
pub use pattern::Pattern;

use crate::{ModelDims, Problems};

/// The config of what makes a loop's input of the last loop's state and the embedded prompt, and its maker. `type` in TOML is the typetag name.
#[typetag::serde(tag = "type")]
pub trait Injector: Debug + Send + Sync {
    /// Reports settings that can't work; keys are relative to the injector's table.
    fn validate(&self, dims: &ModelDims, problems: &mut Problems) {
        let _ = (dims, problems);
    }

    /// A setting that changes nothing for sequences of so many tokens, and what it then does, as in "n: is 30, which keeps
    /// the state of all 22 tokens"; keys are relative to the injector's table.
    fn idle(&self, tokens: usize) -> Option<String> {
        let _ = tokens;
        None
    }

    /// Builds the injection, its parameters named below `params`' prefix.
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Inject>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_injector_round_trips_through_its_config() {
        for text in [
            r#"{"type":"full","operation":"multiply"}"#,
            r#"{"type":"last_n","n":20,"operation":"add"}"#,
            r#"{"type":"first_n","n":20,"operation":"multiply"}"#,
            r#"{"type":"none"}"#,
            r#"{"type":"concat"}"#,
            r#"{"type":"learned_gate"}"#,
            r#"{"type":"pattern","keep":[true,false]}"#,
        ] {
            let injector: Box<dyn Injector> = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&injector).unwrap(), text);
        }
        assert!(serde_json::from_str::<Box<dyn Injector>>(r#"{"type":"none","n":1}"#).is_err());
    }
}
