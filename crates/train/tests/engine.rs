//! A run says which engine computes it, and why not the fast one.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use candle_core::Device;
use common::{experiment, tiny, trainer};
use looped_core::{Injector, LoopStep, Result, Tensor, typetag};
use looped_train::EngineChoice;
use serde::{Deserialize, Serialize};

/// x + z, by a part without a fused form.
#[derive(Debug, Serialize, Deserialize)]
struct Plain {}

#[typetag::serde(name = "plain")]
impl Injector for Plain {
    fn initial(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.zeros_like()?)
    }

    fn inject(&self, state: &Tensor, input: &Tensor, _: LoopStep) -> Result<Tensor> {
        Ok((state + input)?)
    }
}

#[test]
fn the_engine_and_what_keeps_a_model_from_the_fast_one_are_told() {
    let told = |changes: &[(&str, &str)]| {
        let mut table = tiny();
        for (pointer, value) in changes {
            let value = serde_json::from_str(value).unwrap();
            let (table_of, key) = pointer.rsplit_once('/').unwrap();
            table.pointer_mut(table_of).unwrap()[key] = value;
        }
        let choice = EngineChoice::of(&experiment(table.clone()), &Device::Cpu);
        if let Ok(choice) = &choice {
            assert_eq!(trainer(table).model().engine_choice(), choice);
        }
        choice.map_or_else(|error| error.to_string(), |choice| choice.to_string())
    };
    let plain = ("/model/injector", r#"{"type":"plain"}"#);
    assert_eq!(told(&[]), "fused");
    assert_eq!(told(&[plain]), "candle (the injector `plain` has no fused form)");
    assert_eq!(told(&[("/training/engine", r#""candle""#)]), "candle (training.engine is \"candle\")");
    for setting in ["/training/engine fused", "/training/precision bf16"] {
        let (pointer, value) = setting.split_once(' ').unwrap();
        let message = told(&[plain, (pointer, &format!("{value:?}"))]);
        assert!(
            message.ends_with("can't take this model: the injector `plain` has no fused form"),
            "{message}"
        );
    }
}
