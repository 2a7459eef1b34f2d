use candle_core::{DType, Tensor, Var};
use looped_blocks as _;
use looped_core::{Looping, Loops, ModelConfig, ParamStore, Predictions, Prompts, Rng};
use looped_reference::ReferenceModel;
use looped_tasks::LinearRegression;

use super::jacobian::spectral_radius;
use super::tangent::Tangent;
use super::*;
use crate::eigen::dot;

/// A loop z <- A z + x for each token, x being the token: its end is known.
struct Affine {
    matrix: [f64; 4],
    dtype: DType,
}

struct Along {
    matrix: Tensor,
    input: Tensor,
    state: Tensor,
}

impl Loops for Along {
    fn next_state(&mut self) -> Result<Tensor> {
        let (batch, tokens, width) = self.state.dims3()?;
        let turned = self.state.reshape((batch * tokens, width))?.matmul(&self.matrix.t()?)?;
        self.state = (turned.reshape((batch, tokens, width))? + &self.input)?;
        Ok(self.state.clone())
    }

    fn go_on_from(&mut self, state: &Tensor, _: usize) -> Result<()> {
        self.state = state.clone();
        Ok(())
    }
}

impl Stateful for Affine {
    fn width(&self) -> usize {
        2
    }

    fn looping(&self, prompts: &Prompts, _: usize) -> Result<Looping<'_>> {
        let input = prompts.tokens(2, 0, &Device::Cpu)?.to_dtype(self.dtype)?;
        let matrix = Tensor::from_slice(&self.matrix, (2, 2), &Device::Cpu)?.to_dtype(self.dtype)?;
        Ok(Looping::new(Along { matrix, state: input.clone(), input }))
    }
}

impl Predictor for Affine {
    /// Loop l predicts y (1 - 1 / l) for the first 5 loops, and y (l / 5) - y / 5 beyond.
    fn predict(&self, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        let factor =
            |index: usize| if index < 5 { 1.0 - 1.0 / (index + 1) as f32 } else { index as f32 / 5.0 - 0.2 };
        let values = (0..loops).flat_map(|index| prompts.ys.iter().map(move |y| y * factor(index))).collect();
        Ok(Predictions { values, width: 1, loops, prompts: prompts.prompts, points: prompts.points })
    }
}

fn plan(loops: usize) -> StabilityPlan {
    let eval = EvalPlan { prompts: 12, resamples: 50, ..EvalPlan::new(3, 2, 2, loops, 5) };
    StabilityPlan { eval, trained: 4, states: 8, derivatives: 2 }
}

fn seen(matrix: [f64; 4], loops: usize) -> Stability {
    let model = |dtype| Affine { matrix, dtype };
    let (model, exact) = (model(DType::F32), model(DType::F64));
    stability(&model, &exact, &Device::Cpu, &LinearRegression {}, &plan(loops), &()).unwrap()
}

fn near(value: Option<f64>, expected: f64, tolerance: f64) {
    let value = value.unwrap();
    assert!((value - expected).abs() <= tolerance, "{value}, expected {expected}");
}

#[test]
fn a_contraction_settles_in_a_line_wherever_it_starts() {
    let found = seen([0.5, 0.0, 0.0, 0.5], 40);
    assert_eq!(found.verdict.verdict, WhatHappens::Settles);
    assert_eq!(found.verdict.shares.settles, 1.0);
    // Every step is half the one before.
    near(found.cosine.after(5).median, 1.0, 1e-5);
    let (step, change) = (found.relative_step.after(5), found.acceleration.after(5));
    near(change.median, step.median.unwrap(), 1e-5);
    near(found.relative_step.after(6).mean.map(|next| next / step.mean.unwrap()), 0.5, 0.02);
    // z_l = (2 - 2^-l) x, z_L = 2 x.
    near(found.distance_to_last.after(0).mean, 0.25, 1e-5);
    near(found.distance_to_last.after(39).mean, 0.0, 0.0);
    near(found.jacobian.spectral_radius.p95, 0.5, 1e-8);
    near(found.jacobian.radius_change.p95, 0.0, 1e-8);
    // Twelve numbers, each halved.
    near(found.jacobian.frobenius.mean, (12.0f64 * 0.25).sqrt(), 1e-8);
    near(found.jacobian.exponents[0].mean, 0.5f64.ln(), 1e-8);
    assert_eq!((found.jacobian.exponents.len(), found.jacobian.exponents_over), (4, [4, 40]));
    for start in [&found.alignment.from_another, &found.alignment.from_noise] {
        assert!((start.mean[0] - 1.0).abs() < 1e-6, "{start:?}");
    }
    assert!(found.alignment.of_others.mean[0] < 0.9);
    for path in &found.paths {
        assert!(path.shares[0] > 0.999 && path.loops.len() == 40, "{:?}", path.shares);
        assert!(
            path.components[0].windows(2).all(|pair| pair[0] <= pair[1] + 1e-6),
            "it ends on the positive side"
        );
    }
    assert_eq!(found.paths.len(), PATHS);
}

fn rotation(angle: f64) -> [f64; 4] {
    [angle.cos(), -angle.sin(), angle.sin(), angle.cos()]
}

#[test]
fn a_third_of_a_turn_cycles_a_small_one_drifts_and_growth_diverges() {
    let found = seen(rotation(2.0 * std::f64::consts::PI / 3.0), 40);
    assert_eq!((found.verdict.verdict, found.verdict.period), (WhatHappens::Cycles, Some(3)));
    // A complex pair of modulus 1.
    near(found.jacobian.spectral_radius.median, 1.0, 1e-8);
    near(found.cosine.after(9).mean, -0.5, 1e-4);
    assert!(found.alignment.from_another.mean[0] < 0.99, "it never forgets its start");

    let found = seen(rotation(0.05), 40);
    assert_eq!((found.verdict.verdict, found.verdict.period), (WhatHappens::Drifts, None));
    assert!(found.verdict.rule.contains("last 10 loops"), "{}", found.verdict.rule);

    let found = seen([1.3, 0.0, 0.0, 0.2], 40);
    assert_eq!((found.verdict.verdict, found.verdict.shares.diverges), (WhatHappens::Diverges, 1.0));
    // The directions turn to those that grow within the first loops, not at once.
    near(found.jacobian.exponents[0].mean, 1.3f64.ln(), 1e-3);
    near(found.jacobian.spectral_radius.mean, 1.3, 1e-7);
}

#[test]
fn the_best_loop_is_chosen_on_other_prompts_than_it_is_scored_on() {
    let found = seen([0.5, 0.0, 0.0, 0.5], 20).overthinking;
    // Loop 7 (index 6) predicts y itself.
    assert_eq!((found.best_loop, found.prompts), (7, 6));
    assert!(found.scores.mean[0] < 1e-9 && found.scores.mean[2] > 1.0);
    assert_eq!(found.per_loop.mean.len(), 20);
}

#[test]
fn what_says_nothing_is_refused() {
    let refused = |plan: StabilityPlan| {
        let model = Affine { matrix: [0.0; 4], dtype: DType::F64 };
        stability(&model, &model, &Device::Cpu, &LinearRegression {}, &plan, &()).unwrap_err().to_string()
    };
    assert!(refused(plan(3)).contains("3 loops say nothing of the end; it takes at least 4"));
    assert!(refused(StabilityPlan { states: 1, ..plan(8) }).contains("1 prompt has no other"));
}

/// A transformer of width 4 on prompts of so many points, with parameters large enough to bend: its state has 8 numbers a point.
fn transformer(points: usize) -> (ReferenceModel, ParamStore, Prompts) {
    let config = r#"{"n_dims": 2, "n_positions": 8, "n_embd": 4, "n_layer": 1,
        "block": {"type": "transformer", "n_head": 2}, "injector": {"type": "full"}}"#;
    let config: ModelConfig = serde_json::from_str(config).unwrap();
    let model = ReferenceModel::new(config.graph().unwrap()).unwrap().in_f64();
    let store = ParamStore::new(model.graph(), 1, &Device::Cpu).unwrap();
    let mut rng = Rng::stream(2, "large", 0);
    let mut values = store.values_mut();
    for place in store.layout().by_name() {
        let own = &mut values[place.range.clone()];
        own.iter_mut().zip(rng.normals(place.range.len())).for_each(|(own, v)| *own = 0.7 * v);
    }
    drop(values);
    let prompts = Prompts::pairs(rng.normals(2 * points), rng.normals(points), [1, points, 2]);
    (model, store, prompts)
}

struct Exact<'a>(&'a ReferenceModel, &'a ParamStore);

impl Stateful for Exact<'_> {
    fn width(&self) -> usize {
        4
    }

    fn looping(&self, prompts: &Prompts, loops: usize) -> Result<Looping<'_>> {
        Ok(self.0.looping(self.1, prompts, loops)?.into())
    }
}

/// The derivative of the loop at a state by candle's own gradients: square, row i that of number i; and the state after it.
fn dense(exact: &Exact<'_>, prompts: &Prompts, state: &Tensor, done: usize) -> (Vec<f64>, Tensor) {
    let var = Var::from_tensor(state).unwrap();
    let mut looping = exact.looping(prompts, done).unwrap();
    looping.go_on_from(var.as_tensor(), done).unwrap();
    let next = looping.next_state().unwrap();
    let flat = next.flatten_all().unwrap();
    let row = |i: usize| -> Vec<f64> {
        let gradients = flat.get(i).unwrap().backward().unwrap();
        gradients.get(var.as_tensor()).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    ((0..flat.elem_count()).flat_map(row).collect(), next.detach())
}

#[test]
fn the_numbers_of_the_jacobian_are_those_of_a_dense_one() {
    let (model, store, prompts) = transformer(2);
    let exact = Exact(&model, &store);
    let (from, to) = (3, 12);
    let found = jacobian(&exact, &Device::Cpu, &prompts, (from, to), 9, &()).unwrap();
    assert_eq!(found.size, 16);

    // The same directions, pushed along the way by dense derivatives.
    let mut rng = Rng::stream(9, "jacobian", 0);
    let mut frame: Vec<Vec<f64>> = (0..DIRECTIONS).map(|_| (0..16).map(|_| rng.normal()).collect()).collect();
    let mut looping = exact.looping(&prompts, to).unwrap();
    let mut state = looping.next_state().unwrap();
    let mut start = Vec::new();
    for done in 1..to {
        if done == from {
            start = volumes(&frame);
        }
        let (rows, next) = dense(&exact, &prompts, &state, done);
        frame.iter_mut().for_each(|v| *v = rows.chunks_exact(16).map(|row| dot(row, v)).collect());
        state = next;
    }
    let end = volumes(&frame);
    let mut before = 0.0;
    for n in 0..DIRECTIONS {
        // The sum of the first exponents is by how much the volume of the first directions grows.
        let sum = (end[n] - start[n]) / (to - from) as f64;
        near(found.exponents[n].mean, sum - before, 1e-6);
        before = sum;
    }

    let (last, _) = dense(&exact, &prompts, &state, to);
    near(found.frobenius.mean, dot(&last, &last).sqrt(), 1e-7);
    let radius = spectral_radius(last.clone(), 16);
    near(found.spectral_radius.mean, radius, 1e-5 * radius);
    assert!(found.radius_change.mean.unwrap() < 1e-5, "{:?}", found.radius_change);
    assert!(radius > 0.05 && (radius - dot(&last, &last).sqrt()).abs() > 0.1, "a loop that bends: {radius}");

    // Each column by itself.
    let mut tangent = Tangent::new(&exact, &prompts, to, DIRECTIONS, &Device::Cpu).unwrap();
    let state: Vec<f64> = state.flatten_all().unwrap().to_vec1().unwrap();
    for column in 0..16 {
        let unit: Vec<f64> = (0..16).map(|i| f64::from(u8::from(i == column))).collect();
        let (_, pushed) = tangent.push(&state, &[unit], to).unwrap();
        for (row, value) in pushed[0].iter().enumerate() {
            near(Some(*value), last[row * 16 + column], 1e-7);
        }
    }
}

/// Of more numbers than directions: |J v|^2, v ~ N(0, I), has the mean |J|^2 and the variance 2 |J^T J|^2.
#[test]
fn the_norm_of_a_large_jacobian_is_estimated_within_its_standard_error() {
    const SEEDS: u64 = 32;
    let (model, store, prompts) = transformer(6);
    let exact = Exact(&model, &store);
    let (size, loops) = (48, 6);
    let mut looping = exact.looping(&prompts, loops).unwrap();
    let state = (0..loops).map(|_| looping.next_state().unwrap()).last().unwrap();
    let (rows, _) = dense(&exact, &prompts, &state, loops);
    let column = |j: usize| rows.iter().skip(j).step_by(size).copied().collect::<Vec<f64>>();
    let columns: Vec<Vec<f64>> = (0..size).map(column).collect();
    let squares = columns.iter().flat_map(|a| columns.iter().map(|b| dot(a, b).powi(2)));
    let (square, error) = (dot(&rows, &rows), (2.0 * squares.sum::<f64>() / 40.0).sqrt());

    let of = |seed| jacobian(&exact, &Device::Cpu, &prompts, (3, loops), seed, &()).unwrap();
    let found: Vec<f64> = (0..SEEDS).map(|seed| of(seed).frobenius.mean.unwrap().powi(2)).collect();
    let mean = found.iter().sum::<f64>() / SEEDS as f64;
    let of_mean = error / (SEEDS as f64).sqrt();
    assert!((mean - square).abs() < 3.0 * of_mean, "{mean}, not {square} +- {of_mean}");
    assert!(of_mean < 0.1 * square, "else it says little: {of_mean} of {square}");
    let spread = found.iter().map(|of| (of - mean).powi(2)).sum::<f64>() / (SEEDS - 1) as f64;
    assert!((0.7..1.4).contains(&(spread.sqrt() / error)), "{} {error}", spread.sqrt());
}

/// The logarithms of the volumes of the first 1, 2, ... vectors.
fn volumes(frame: &[Vec<f64>]) -> Vec<f64> {
    let mut frame = frame.to_vec();
    let lengths = super::jacobian::orthonormalise(&mut frame);
    lengths
        .iter()
        .scan(0.0, |sum, length| {
            Some({
                *sum += length.ln();
                *sum
            })
        })
        .collect()
}

#[test]
fn the_radius_of_a_small_matrix_is_that_of_its_largest_eigenvalue() {
    // Eigenvalues 2 and 3; a pair of modulus 2; a shift, which is nilpotent.
    near(Some(spectral_radius(vec![2.0, 5.0, 0.0, 3.0], 2)), 3.0, 1e-12);
    near(Some(spectral_radius(vec![0.0, -2.0, 2.0, 0.0], 2)), 2.0, 1e-12);
    near(Some(spectral_radius(vec![0.0, 1.0, 0.0, 0.0], 2)), 0.0, 1e-12);
}

#[test]
fn another_state_is_gone_on_from_only_if_it_fits() {
    let (model, store, prompts) = transformer(2);
    let exact = Exact(&model, &store);
    let mut looping = exact.looping(&prompts, 2).unwrap();
    let (first, second) = (looping.next_state().unwrap(), looping.next_state().unwrap());
    looping.go_on_from(&first, 1).unwrap();
    let again: Vec<f64> = looping.next_state().unwrap().flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(again, second.flatten_all().unwrap().to_vec1::<f64>().unwrap());
    let narrow = first.narrow(2, 0, 2).unwrap();
    assert!(looping.go_on_from(&narrow, 1).unwrap_err().to_string().contains("a state is ([1, 4, 2]"));
}
