//! A run says which engine computes it, and why not the fast one.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use candle_core::Device;
use common::{experiment, tiny, trainer};
use looped_core::graph::{At, Inject, Linear, Params, Value};
use looped_core::{Injector, LoopStep, ModelDims, Prompts, Result, Rng, Stateful, Tensor, typetag};
use looped_train::{EngineChoice, StepReport, Trainer};
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

/// W z + x, recorded only.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {}

#[typetag::serde(name = "recorded")]
impl Injector for Recorded {
    fn record(&self, dims: &ModelDims, params: &mut Params<'_>) -> Option<Box<dyn Inject>> {
        let width = dims.n_embd;
        Some(Box::new(Mixed(Linear::normal(width, width, 0.3, &mut params.scope("mix")))))
    }
}

struct Mixed(Linear);

impl Inject for Mixed {
    fn initial<'t>(&self, at: At<'t>) -> Value<'t> {
        at.input.like(0.0)
    }

    fn inject<'t>(&self, state: Value<'t>, at: At<'t>) -> Value<'t> {
        state.linear(&self.0) + at.input
    }
}

/// The tiny experiment with another engine, or another injector.
fn with(pointer: &str, value: serde_json::Value) -> Trainer {
    let mut table = tiny();
    let (table_of, key) = pointer.rsplit_once('/').unwrap();
    table.pointer_mut(table_of).unwrap()[key] = value;
    trainer(table)
}

fn steps(trainer: &mut Trainer, count: usize) -> Vec<StepReport> {
    (0..count).map(|_| trainer.step().unwrap()).collect()
}

#[test]
fn recorded_models_train_as_the_others_do_and_resume_to_the_same_bits() {
    let new = |engine: &str| with("/training/engine", engine.into());
    for (engine, like) in [("reference", "candle"), ("graph", "fused")] {
        let (mut whole, mut stopped, mut other) = (new(engine), new(engine), new(like));
        assert_eq!(whole.model().engine(), engine);
        let reports = steps(&mut whole, 6);
        for (found, expected) in reports.iter().zip(steps(&mut other, 6)) {
            assert!((found.loss - expected.loss).abs() <= 1e-5 * expected.loss, "{found:?}, {expected:?}");
        }
        steps(&mut stopped, 2);
        let checkpoint = stopped.checkpoint().unwrap();
        let mut table = tiny();
        table["training"]["engine"] = engine.into();
        let mut resumed = Trainer::resumed(experiment(table), &Device::Cpu, &checkpoint).unwrap();
        assert_eq!(steps(&mut resumed, 4), reports[2..]);
        let values = |trainer: &Trainer| looped_train::encode(&trainer.model().values().unwrap()).unwrap();
        assert!(values(&resumed) == values(&whole));
    }
}

#[test]
fn a_part_that_is_recorded_only_trains_on_the_graph_engine_and_shows_its_states() {
    let mut trainer = with("/model/injector", serde_json::json!({ "type": "recorded" }));
    let why = "graph (the injector `recorded` has no fused form)";
    assert_eq!(trainer.model().engine_choice().to_string(), why);
    let mix = |trainer: &Trainer| trainer.model().values().unwrap()["_injector.mix.weight"].clone();
    let before = mix(&trainer);
    steps(&mut trainer, 3);
    assert!(
        (mix(&trainer) - before).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap() > 0.0
    );

    let message = trainer.model().looped().err().unwrap().to_string();
    assert_eq!(
        message,
        "the injector `recorded` has no candle form: it is recorded, and runs on the reference engine"
    );
    let n_dims = trainer.experiment().model.n_dims;
    let xs = Rng::stream(0, "xs", 0).normals(2 * 3 * n_dims);
    let prompts = Prompts { xs, ys: vec![1.0; 6], prompts: 2, points: 3, n_dims };
    let mut looping = trainer.model().looping(&prompts).unwrap();
    let states: Vec<Tensor> = (0..2).map(|_| looping.next_state().unwrap()).collect();
    assert_eq!(states[1].dims(), [2, 6, trainer.model().width()]);

    let candle = with("/training/engine", "candle".into());
    assert_eq!(candle.model().engine(), "candle");
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
    assert_eq!(told(&[]), "fused (every part of the model has a fused form)");
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
