//! The model agrees with PyTorch: predictions, gradients and parameters after three Adam steps.
//!
//! The fixtures come from `scripts/torch/make_fixtures.py`, computed in f64 and rounded to f32.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

#[path = "../../gpu/tests/fake/mod.rs"]
mod fake;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Tensor;
use looped_blocks as _;
use looped_core::{LoopPlan, ModelConfig, Objective, Place, Predictor, Prompts};
use looped_train::{Model, StepPlan, Target, Updater, decode, default_optimizer};
use safetensors::SafeTensors;
use serde::Deserialize;

/// What a fixture's metadata say of it.
#[derive(Deserialize)]
struct Case {
    model: Arc<ModelConfig>,
    loops: usize,
    window: usize,
    n_loss_loops: usize,
    learning_rate: f64,
    weight_decay: f64,
    objective: Objective,
}

struct Fixture {
    name: String,
    case: Case,
    tensors: BTreeMap<String, Tensor>,
}

impl Fixture {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let case = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["case"]).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Self { name, case, tensors: decode(&bytes, path).unwrap() }
    }

    /// The tensors whose names begin with `prefix`, less the prefix.
    fn group(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let strip = |(name, tensor): (&String, &Tensor)| {
            Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
        };
        self.tensors.iter().filter_map(strip).collect()
    }

    fn prompts(&self, suffix: &str) -> Prompts {
        let xs = &self.tensors[&format!("xs{suffix}")];
        let (prompts, points, n_dims) = xs.dims3().unwrap();
        Prompts::pairs(flat(xs), flat(&self.tensors[&format!("ys{suffix}")]), [prompts, points, n_dims])
    }

    /// The model on each engine, the fused one only on the CPU; every fixture's parts have a fused form.
    fn models(&self) -> Vec<Model> {
        let device = looped_testing::device();
        let new = |engine| Model::new(Arc::clone(&self.case.model), 0, engine, &device, 2).unwrap();
        let models = if device.is_cpu() { vec![new("candle"), new("fused")] } else { vec![new("candle")] };
        let engines: Vec<_> = models.iter().map(Model::engine).collect();
        assert!(engines == ["candle", "fused"] || (engines == ["candle"] && !device.is_cpu()));
        self.with_parameters(models)
    }

    /// The model on the CUDA engine.
    fn on_the_gpu(&self) -> Vec<Model> {
        let model = Model::new(Arc::clone(&self.case.model), 0, "fused", Target::Cuda(0), 2).unwrap();
        assert_eq!(model.engine(), "cuda");
        self.with_parameters(vec![model])
    }

    fn with_parameters(&self, models: Vec<Model>) -> Vec<Model> {
        models.iter().for_each(|model| model.load(&self.group("param.")).unwrap());
        models
    }

    fn plan(&self) -> StepPlan {
        let Case { loops, window, n_loss_loops, objective, .. } = self.case;
        StepPlan { loops: LoopPlan { loops, window }, loss_loops: n_loss_loops, objective }
    }
}

fn fixtures() -> Vec<Fixture> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "safetensors")).collect();
    paths.sort();
    assert!(paths.len() >= 12, "fixtures are missing: {paths:?}");
    paths.iter().map(|path| Fixture::read(path)).collect()
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Asserts that two tensors differ by at most `tolerance` times the largest magnitude expected.
fn assert_close(what: &str, actual: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-6f32, |largest, v| largest.max(v.abs()));
    let worst = actual.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= tolerance * scale, "{what}: differs by {worst}, of at most {scale}");
}

/// The bias of the keys: a softmax ignores a shift, so its gradient is rounding noise, which Adam turns into steps of
/// full size. It is the middle third of `c_attn.bias`; set to 0 here for both sides.
fn without_key_bias(name: &str, values: Vec<f32>) -> Vec<f32> {
    let width = values.len() / 3;
    let is_key = |i: usize| name.ends_with("c_attn.bias") && (width..2 * width).contains(&i);
    values.into_iter().enumerate().map(|(i, v)| if is_key(i) { 0.0 } else { v }).collect()
}

#[test]
fn predictions_after_every_loop() {
    predictions(Fixture::models);
}

#[test]
fn loss_and_every_gradient() {
    gradients(Fixture::models);
}

#[test]
fn parameters_after_three_adam_steps() {
    parameters(Fixture::models);
}

#[test]
fn all_of_it_on_a_gpu() {
    fake::passes("inner_on_a_gpu", &[]);
}

#[test]
#[ignore = "run by the test above, on the fake GPU"]
fn inner_on_a_gpu() {
    [predictions, gradients, parameters].into_iter().for_each(|agree| agree(Fixture::on_the_gpu));
}

/// A fixture's model on some engines.
type Models = fn(&Fixture) -> Vec<Model>;

fn predictions(models: Models) {
    for fixture in fixtures() {
        for model in models(&fixture) {
            let what = format!("{}, {}", fixture.name, model.engine());
            let predictions = model.predict(&fixture.prompts(""), fixture.case.loops).unwrap();
            assert_close(&what, &predictions.values, &flat(&fixture.tensors["preds"]), 1e-5);
        }
    }
}

fn gradients(models: Models) {
    for fixture in fixtures() {
        for model in models(&fixture) {
            let what = format!("{}, {}", fixture.name, model.engine());
            let (loss, gradients) = model.loss_and_gradients(&fixture.prompts(""), fixture.plan()).unwrap();
            assert_close(&what, &[loss as f32], &flat(&fixture.tensors["loss"]), 1e-5);
            let expected = fixture.group("grad.");
            gradients.layout().check(&expected).unwrap();
            assert!(expected.len() >= 10, "{what}");
            for (Place { name, .. }, gradient) in gradients.named() {
                let clean = |values| without_key_bias(name, values);
                assert_close(
                    &format!("{what}: gradient of {name}"),
                    &clean(gradient.to_vec()),
                    &clean(flat(&expected[name])),
                    1e-4,
                );
            }
        }
    }
}

fn parameters(models: Models) {
    for fixture in fixtures() {
        for model in models(&fixture) {
            let case = &fixture.case;
            let graph = model.candle().graph();
            let mut adam =
                Updater::new(default_optimizer(), graph, model.parameters(), case.weight_decay).unwrap();
            for step in 0..3 {
                let prompts = fixture.prompts(&step.to_string());
                let (_, gradients) = model.loss_and_gradients(&prompts, fixture.plan()).unwrap();
                adam.update(model.parameters(), &gradients, case.learning_rate).unwrap();
            }
            for (name, expected) in fixture.group("step3.") {
                let what = format!("{}, {}: {name} after 3 steps", fixture.name, model.engine());
                let clean = |values| without_key_bias(&name, values);
                assert_close(
                    &what,
                    &clean(flat(&model.values().unwrap()[&name])),
                    &clean(flat(&expected)),
                    1e-5,
                );
            }
        }
    }
}
