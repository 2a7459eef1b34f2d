//! Both engines over the same parameters.

use candle_core::{Device, Tensor};
use looped_core::{CandlePredictor, LoopedModel, ParamStore, Predictor, Rng};
use looped_fused::{FusedModel, Gradients, Precision, Step};

use crate::cases::Case;

pub(crate) struct Engines {
    pub(crate) store: ParamStore,
    /// Its parameters are copies of those in `store`, on the device that is tested.
    candle: LoopedModel,
    candle_store: ParamStore,
    pub(crate) fused: FusedModel,
}

impl Engines {
    /// Parameters far from their start, where biases are 0 and weights small, which would hide mistakes.
    pub(crate) fn new(case: &Case) -> Self {
        let mut store = ParamStore::new(case.seed, &Device::Cpu);
        LoopedModel::build(case.model(), &mut store).unwrap();
        for (name, var) in store.iter() {
            let noise = Rng::stream(case.seed, &format!("noise {name}"), 0).normals(var.elem_count());
            let noise = Tensor::from_vec(noise, var.shape(), &Device::Cpu).unwrap();
            var.set(&(var.as_tensor() + (noise * 0.1).unwrap()).unwrap()).unwrap();
        }
        let mut candle_store = ParamStore::new(case.seed, &looped_testing::device());
        let candle = LoopedModel::build(case.model(), &mut candle_store).unwrap();
        let values = store.iter().map(|(name, var)| (name.to_owned(), var.as_tensor().clone()));
        candle_store.load(&values.collect()).unwrap();
        let fused = FusedModel::new(&case.model(), case.threads).unwrap().expect("a fused form");
        Self { store, candle, candle_store, fused }
    }

    pub(crate) fn candle_step(&self, case: &Case) -> (f64, Gradients) {
        let (xs, ys) = case.data().to_tensors(self.candle_store.device()).unwrap();
        let predictions = self.candle.forward(&xs, &ys, case.plan).unwrap();
        let window = predictions.dim(0).unwrap();
        let counted = case.loss_loops.min(window);
        let predictions = predictions.narrow(0, window - counted, counted).unwrap();
        let loss = case.objective.loss(&predictions, &ys).unwrap();
        let gradients = loss.backward().unwrap();
        let flat = |var: &candle_core::Var| match gradients.get(var) {
            Some(gradient) => gradient.flatten_all().unwrap().to_vec1().unwrap(),
            None => vec![0.0; var.elem_count()],
        };
        let gradients =
            self.candle_store.iter().map(|(name, var)| (name.to_owned(), without_key_bias(name, flat(var))));
        (f64::from(loss.to_scalar::<f32>().unwrap()), gradients.collect())
    }

    pub(crate) fn fused_step(&self, case: &Case, precision: Precision) -> (f64, Gradients) {
        let step =
            Step { plan: case.plan, loss_loops: case.loss_loops, objective: case.objective, precision };
        let (loss, gradients) = self.fused.step(&self.store, &case.data(), step).unwrap();
        (loss, without_key_biases(gradients))
    }

    pub(crate) fn candle_predictions(&self, case: &Case, loops: usize) -> Vec<f32> {
        let predictor = CandlePredictor { model: &self.candle, device: self.candle_store.device().clone() };
        predictor.predict(&case.data(), loops).unwrap().values
    }

    pub(crate) fn fused_predictions(&self, case: &Case, loops: usize, precision: Precision) -> Vec<f32> {
        self.fused.predictor(&self.store, precision).predict(&case.data(), loops).unwrap().values
    }
}

pub(crate) fn without_key_biases(gradients: Gradients) -> Gradients {
    let clean = |(name, values)| (String::clone(&name), without_key_bias(&name, values));
    gradients.into_iter().map(clean).collect()
}

/// The keys' bias, the middle third of `c_attn.bias`, set to 0: a softmax ignores a shift, so its gradient is noise.
fn without_key_bias(name: &str, mut values: Vec<f32>) -> Vec<f32> {
    if name.ends_with("c_attn.bias") {
        let width = values.len() / 3;
        values[width..2 * width].fill(0.0);
    }
    values
}

/// Two vectors differ by at most `tolerance` times the largest magnitude expected.
pub(crate) fn assert_close(what: &str, actual: &[f32], expected: &[f32], tolerance: f32) {
    assert_within(what, actual, expected, tolerance * largest(expected));
}

/// Every gradient differs by at most `tolerance` times its largest magnitude. A gradient far below the others is what is
/// left of larger ones that cancel, and so is its error: it's held against a hundredth of the largest.
pub(crate) fn assert_gradients_close(actual: &Gradients, expected: &Gradients, tolerance: f32) {
    assert!(actual.keys().eq(expected.keys()), "the engines have other parameters");
    let floor = 1e-2 * expected.values().map(|values| largest(values)).fold(0.0, f32::max);
    for (name, expected) in expected {
        assert_within(name, &actual[name], expected, tolerance * largest(expected).max(floor));
    }
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, v| largest.max(v.abs()))
}

fn assert_within(what: &str, actual: &[f32], expected: &[f32], bound: f32) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((a - e).abs() <= bound, "{what}: {a} for {e} at {i}, allowed is a difference of {bound}");
    }
}
