//! A run says which engine computes it, and why not the fast one.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use candle_core::Device;
use common::{experiment, tiny, trainer};
use looped_core::graph::{At, Linear, Value};
use looped_core::{
    Inject, Injector, LoopPlan, ModelDims, Objective, Params, Prompts, Rng, Stateful, Tensor, typetag,
};
use looped_train::{EngineChoice, StepPlan, StepReport, Trainer};
use serde::{Deserialize, Serialize};

/// W z + x, by a part of the test's own.
#[derive(Debug, Serialize, Deserialize)]
struct Mix {}

#[typetag::serde(name = "mix")]
impl Injector for Mix {
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Inject> {
        Box::new(Mixed(Linear::normal(dims.n_embd, dims.n_embd, 0.3, &mut params.scope("mix"))))
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

/// What is injected doesn't depend on the state, so nothing does: the fused engine has nothing to loop over.
#[derive(Debug, Serialize, Deserialize)]
struct Forget {}

#[typetag::serde(name = "forget")]
impl Injector for Forget {
    fn build(&self, _: &ModelDims, _: &mut Params<'_>) -> Box<dyn Inject> {
        Box::new(Forgetting)
    }
}

struct Forgetting;

impl Inject for Forgetting {
    fn initial<'t>(&self, at: At<'t>) -> Value<'t> {
        at.input.like(0.0)
    }

    fn inject<'t>(&self, _: Value<'t>, at: At<'t>) -> Value<'t> {
        at.input
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
fn both_engines_train_alike_and_resume_to_the_same_bits() {
    let new = |engine: &str| with("/training/engine", engine.into());
    let mut losses = Vec::new();
    for engine in ["candle", "fused"] {
        let (mut whole, mut stopped) = (new(engine), new(engine));
        assert_eq!(whole.model().engine(), engine);
        let reports = steps(&mut whole, 6);
        losses.push(reports.iter().map(|report| report.loss).collect::<Vec<_>>());
        steps(&mut stopped, 2);
        let checkpoint = stopped.checkpoint().unwrap();
        let mut table = tiny();
        table["training"]["engine"] = engine.into();
        let mut resumed = Trainer::resumed(experiment(table), &Device::Cpu, &checkpoint).unwrap();
        assert_eq!(steps(&mut resumed, 4), reports[2..]);
        let values = |trainer: &Trainer| looped_train::encode(&trainer.model().values().unwrap()).unwrap();
        assert!(values(&resumed) == values(&whole));
    }
    for (candle, fused) in losses[0].iter().zip(&losses[1]) {
        assert!((candle - fused).abs() <= 1e-5 * candle, "{losses:?}");
    }
}

#[test]
fn a_part_of_ones_own_trains_on_the_fast_engine_and_shows_its_states() {
    let mut trainer = with("/model/injector", serde_json::json!({ "type": "mix" }));
    assert_eq!(trainer.model().engine_choice().to_string(), "fused");
    let mix = |trainer: &Trainer| trainer.model().values().unwrap()["_injector.mix.weight"].clone();
    let before = mix(&trainer);
    steps(&mut trainer, 3);
    let moved = (mix(&trainer) - before).unwrap().abs().unwrap().max_all().unwrap();
    assert!(moved.to_scalar::<f32>().unwrap() > 0.0);

    let mut looping = trainer.model().looping(&prompts(&trainer), 2).unwrap();
    let states: Vec<Tensor> = (0..2).map(|_| looping.next_state().unwrap()).collect();
    assert_eq!(states[1].dims(), [2, 6, trainer.model().width()]);
}

#[test]
fn what_a_part_gave_a_name_to_is_the_same_on_both_engines() {
    let of = |engine: &str| {
        let mut table = tiny();
        table["model"]["injector"] = serde_json::json!({ "type": "learned_gate" });
        table["training"]["engine"] = engine.into();
        trainer(table)
    };
    let [candle, fused] = ["candle", "fused"].map(of);
    let gate = |trainer: &Trainer| trainer.model().probed(&prompts(trainer), 4, "gate").unwrap();
    let (one, other) = (gate(&candle), gate(&fused));
    assert_eq!(other.dims(), [4, 2, 6, 8]);
    let apart = (&one - &other).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(apart < 1e-5, "{apart}");
    let gates: Vec<f32> = other.flatten_all().unwrap().to_vec1().unwrap();
    assert!(gates.iter().all(|gate| (0.0..=1.0).contains(gate)));
    let message = fused.model().probed(&prompts(&fused), 4, "gat").unwrap_err().to_string();
    assert_eq!(message, "nothing in the model has the name \"gat\"; names: [\"gate\"]");
}

fn prompts(trainer: &Trainer) -> Prompts {
    let n_dims = trainer.experiment().model.n_dims;
    let xs = Rng::stream(0, "xs", 0).normals(2 * 3 * n_dims);
    Prompts::pairs(xs, vec![1.0; 6], [2, 3, n_dims])
}

/// A step's loss of so many last queries, by an engine, and its gradient, are those of the same loss by candle's own operations, over prompts
/// that hold all their ys.
fn a_step_is_candles_own(engine: &str, queries: usize) {
    let trainer = with("/training/engine", engine.into());
    let (model, all) = (trainer.model(), prompts(&trainer));
    let asked = all.clone().ask_last(queries);
    assert_eq!(asked.targets(), 2 * queries);
    let loops = LoopPlan { loops: 4, window: 2 };
    let plan = StepPlan { loops, loss_loops: 2, objective: Objective::SquaredError };
    let (loss, expected) = model.loss_and_gradients(&asked, plan).unwrap();

    let leaves = model.candle().leaves(model.parameters()).unwrap();
    let predictions = model.candle().forward(&leaves, &all, loops).unwrap();
    assert_eq!(predictions.dims(), [2, 2, 3]);
    let predictions = predictions.narrow(2, 3 - queries, queries).unwrap();
    // Every y is 1.
    let own = (predictions - 1.0).unwrap().sqr().unwrap().mean_all().unwrap();
    assert!((f64::from(own.to_scalar::<f32>().unwrap()) - loss).abs() <= 1e-5 * loss, "{engine}, {queries}");
    let found = model.candle().gradients(&leaves, &own.backward().unwrap()).unwrap();
    let largest = expected.iter().fold(0.0_f32, |most, slope| most.max(slope.abs()));
    for (found, expected) in found.iter().zip(expected.iter()) {
        let apart = (found - expected).abs();
        assert!(apart <= 1e-4 * largest, "{engine}, {queries}: {found} for {expected}, of {largest}");
    }
}

#[test]
fn a_loss_of_ones_own_has_the_gradient_of_the_step_where_it_is_the_same_loss() {
    a_step_is_candles_own("fused", 3);
}

#[test]
fn a_loss_of_the_last_queries_counts_them_alone() {
    ["candle", "fused"].iter().for_each(|engine| a_step_is_candles_own(engine, 1));
}

#[test]
fn a_training_takes_the_loss_of_as_many_queries_as_it_is_told() {
    let loss = |queries: Option<usize>| {
        let mut trainer = match queries {
            Some(queries) => with("/training/n_loss_queries", queries.into()),
            None => with("/training/engine", "fused".into()),
        };
        trainer.step().unwrap().loss
    };
    let points = with("/training/engine", "fused".into()).experiment().training.curriculum.points.end;
    assert_eq!(loss(Some(points)).to_bits(), loss(None).to_bits());
    assert_ne!(loss(Some(1)).to_bits(), loss(None).to_bits());
}

#[test]
fn a_run_says_which_engine_computes_it_and_what_keeps_it_from_the_fast_one() {
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
    let forget = ("/model/injector", r#"{"type":"forget"}"#);
    let why = "the state after a loop doesn't depend on the state before it";
    assert_eq!(told(&[]), "fused");
    assert_eq!(told(&[forget]), format!("candle ({why})"));
    assert_eq!(told(&[("/training/engine", r#""candle""#)]), "candle (training.engine is \"candle\")");
    for setting in ["/training/engine fused", "/training/precision bf16"] {
        let (pointer, value) = setting.split_once(' ').unwrap();
        let message = told(&[forget, (pointer, &format!("{value:?}"))]);
        assert!(message.contains(&format!("can't take this model: {why}")), "{message}");
    }
}
