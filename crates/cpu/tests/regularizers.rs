//! The values of the regularisers, held to what they are defined by: one loop more, and its dense derivative.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use looped_blocks as _;
use looped_core::{
    Body, FixedPoint, Jacobian, ModelConfig, ModelDims, Objective, ParamStore, Policy, Prompts, Regularizer,
    Rng,
};
use looped_cpu::{CpuModel, Precision};
use looped_testing::noisy_parameters;

const DIMS: ModelDims = ModelDims { n_dims: 2, n_positions: 4, n_embd: 4, n_layer: 1 };
const PROMPTS: usize = 3;

/// A model with some prompts and a state for each.
struct Case {
    model: CpuModel,
    store: ParamStore,
    prompts: Prompts,
    /// (prompts, numbers of a state).
    states: Vec<Vec<f32>>,
}

/// What is done at a state, with the prompts' numbers: its value is the step's loss.
struct Look<'a, F> {
    states: &'a [Vec<f32>],
    look: F,
}

impl<F: Fn(&mut dyn Body) -> f64 + Sync> Policy for Look<'_, F> {
    fn loops(&self) -> usize {
        1
    }

    fn slots(&self) -> (usize, bool) {
        (1, true)
    }

    fn run(&self, body: &mut dyn Body) -> f64 {
        body.start(false);
        let states = self.states[body.prompts()].concat();
        body.set_state(&states);
        let value = (self.look)(body);
        body.finish();
        value
    }
}

impl Case {
    fn new() -> Self {
        let part = |text: &str| serde_json::from_str(text).unwrap();
        let block = part(r#"{"type":"transformer","n_head":2}"#);
        let config = ModelConfig::new(DIMS, block, serde_json::from_str(r#"{"type":"full"}"#).unwrap());
        let graph = Arc::new(config.graph().unwrap());
        let mut rng = Rng::stream(7, "prompts", 0);
        let points = 2;
        let (xs, ys) = (rng.normals(PROMPTS * points * DIMS.n_dims), rng.normals(PROMPTS * points));
        let mut case = Self {
            model: CpuModel::new(Arc::clone(&graph), DIMS, 2).unwrap(),
            store: noisy_parameters(&graph, 3),
            prompts: Prompts::pairs(xs, ys, [PROMPTS, points, DIMS.n_dims]),
            states: Vec::new(),
        };
        case.states = (0..PROMPTS).map(|_| rng.normals(case.size())).collect();
        case
    }

    /// Numbers of a prompt's state, as the engine has it.
    fn size(&self) -> usize {
        let size = Mutex::new(0);
        let policy = Start(&size);
        self.model.run(&self.store, &self.prompts, ASKED, &policy).unwrap();
        *size.lock().unwrap()
    }

    fn value(&self, states: &[Vec<f32>], look: impl Fn(&mut dyn Body) -> f64 + Sync) -> f64 {
        self.model.run(&self.store, &self.prompts, ASKED, &Look { states, look }).unwrap().loss
    }

    /// The states after one loop more.
    fn after(&self, states: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let found = Mutex::new(BTreeMap::new());
        self.value(states, |body| {
            body.advance();
            let (range, next) = (body.prompts(), body.state());
            let each = next.len() / range.len();
            let of_prompts = range.zip(next.chunks_exact(each).map(<[f32]>::to_vec));
            found.lock().unwrap().extend(of_prompts);
            0.0
        });
        found.into_inner().unwrap().into_values().collect()
    }

    /// The derivative of a loop at each prompt's state by central differences: column j, the change with number j.
    fn dense(&self) -> Vec<Vec<Vec<f64>>> {
        let step = 1e-2;
        let moved = |j: usize, by: f32| {
            let mut states = self.states.clone();
            states.iter_mut().for_each(|state| state[j] += by);
            self.after(&states)
        };
        let column = |j: usize| {
            let pairs = moved(j, step).into_iter().zip(moved(j, -step));
            let slope = |(above, below): (Vec<f32>, Vec<f32>)| {
                above.iter().zip(&below).map(|(a, b)| f64::from(a - b) / f64::from(2.0 * step)).collect()
            };
            pairs.map(slope).collect::<Vec<Vec<f64>>>()
        };
        let columns: Vec<_> = (0..self.states[0].len()).map(column).collect();
        (0..PROMPTS).map(|prompt| columns.iter().map(|column| column[prompt].clone()).collect()).collect()
    }
}

const ASKED: (Objective, Precision) = (Objective::SquaredError, Precision::F32);

/// Asks how many numbers a prompt's state has.
struct Start<'a>(&'a Mutex<usize>);

impl Policy for Start<'_> {
    fn loops(&self) -> usize {
        1
    }

    fn slots(&self) -> (usize, bool) {
        (1, true)
    }

    fn run(&self, body: &mut dyn Body) -> f64 {
        body.start(false);
        *self.0.lock().unwrap() = body.state().len() / body.prompts().len();
        body.finish();
        0.0
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn the_fixed_point_regularizer_is_the_relative_square_of_the_step_that_would_follow() {
    let case = Case::new();
    let expected = case.states.iter().zip(case.after(&case.states)).map(|(z, next)| {
        let step: f64 = z.iter().zip(&next).map(|(z, next)| f64::from(next - z).powi(2)).sum();
        step / z.iter().map(|&z| f64::from(z).powi(2)).sum::<f64>()
    });
    let expected = 0.5 * expected.sum::<f64>() / PROMPTS as f64;
    let regularizer = FixedPoint { weight: 0.5 };
    let found =
        case.value(&case.states, |body| regularizer.add(body, 0, &mut Rng::stream(1, "directions", 0)));
    assert!((found / expected - 1.0).abs() < 1e-5, "{found}, expected {expected}");
}

/// |J^T v|^2, v ~ N(0, I), has the mean |J|^2 and the variance 2 |J J^T|^2, which is 2 |J^T J|^2.
#[test]
fn the_jacobian_regularizer_is_the_square_of_the_derivative_for_each_number_of_the_state() {
    const DRAWS: u64 = 1500;
    let case = Case::new();
    let (size, dense) = (case.states[0].len() as f64, case.dense());
    let square = |columns: &Vec<Vec<f64>>| columns.iter().map(|c| dot(c, c)).sum::<f64>() / size;
    let variance = |columns: &Vec<Vec<f64>>| {
        let products = columns.iter().flat_map(|a| columns.iter().map(|b| dot(a, b).powi(2)));
        2.0 * products.sum::<f64>() / size.powi(2)
    };
    let expected = 0.5 * dense.iter().map(square).sum::<f64>() / PROMPTS as f64;
    let variance = dense.iter().map(variance).sum::<f64>() / (PROMPTS as f64).powi(2);
    let error = 0.5 * (variance / DRAWS as f64).sqrt();

    let regularizer = Jacobian { weight: 0.5 };
    let drawn = |draw| {
        case.value(&case.states, |body| regularizer.add(body, 0, &mut Rng::stream(1, "directions", draw)))
    };
    let found = (0..DRAWS).map(drawn).sum::<f64>() / DRAWS as f64;
    assert!((found - expected).abs() < 3.0 * error, "{found}, expected {expected} +- {error}");
    assert!(error < 0.03 * expected, "else it says little: {error} of {expected}");
}
