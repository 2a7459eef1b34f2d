//! Random graphs: all engines compute the same, and what is said of a graph's rows holds, whatever is written.
//!
//! `PROPTEST_CASES=2000` looks at more of them.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod recipe;

use std::sync::Arc;

use looped_core::{LoopPlan, Objective, ParamStore, Predictor};
use looped_cpu::{CpuModel, Precision};
use looped_graph::Graph;
use looped_reference::ReferenceModel;
use looped_testing::{
    Asked, Results, agrees_with_reference, by_name, engines_agree, moved_by_rounding, noisy_parameters,
    rows_hold,
};
use proptest::prelude::*;
use recipe::{Line, Recipe, recipes};

/// A recipe's graph with parameters, unless nothing can be said of engines by it.
fn model(recipe: &Recipe) -> Result<(Graph, ParamStore), TestCaseError> {
    let graph = recipe.graph();
    // Without a loop there is nothing to be computed loop by loop.
    let refused = CpuModel::refusals(&graph);
    prop_assume!(!refused.iter().any(|why| why.contains("doesn't depend on the state before it")));
    let store = noisy_parameters(&graph, recipe.seed);
    let Recipe { plan, loss_loops, objective, .. } = *recipe;
    // A model that grows from loop to loop says nothing of engines.
    let model = ReferenceModel::new(graph.clone()).unwrap();
    let step = looped_reference::Step { plan, loss_loops, objective };
    prop_assume!(model.step(&store, &recipe.data(), step).unwrap().0 < 1e3);
    Ok((graph, store))
}

fn asked(recipe: &Recipe) -> Asked {
    let Recipe { plan, loss_loops, objective, threads, .. } = *recipe;
    Asked { plan, loss_loops, objective, threads }
}

fn agree(recipe: &Recipe) -> Result<(), TestCaseError> {
    let (graph, store) = model(recipe)?;
    engines_agree(&graph, recipe.dims(), &store, &recipe.data(), asked(recipe)).map_err(TestCaseError::fail)
}

/// The CPU engine's results are refused with a gradient, a loss or a prediction that is off by 3 %, unless rounding does nearly as much.
fn find_a_fault(recipe: &Recipe, at: usize) -> Result<(), TestCaseError> {
    let (graph, store) = model(recipe)?;
    let (data, asked) = (recipe.data(), asked(recipe));
    let moved = moved_by_rounding(&graph, &store, &data, asked).unwrap();
    prop_assume!(moved.values().all(|moved| *moved < 0.005));
    let refused =
        |found: &Results| agrees_with_reference("CPU", &graph, &store, &data, asked, found).is_err();
    let right = by_cpu(&graph, recipe, &store);
    prop_assert!(!refused(&right));
    let scale = right.gradients.values().flatten().fold(1e-6, |most: f64, value| most.max(value.abs()));
    let name = right.gradients.keys().nth(at % right.gradients.len()).unwrap();
    let mut found = right.clone();
    let gradient = found.gradients.get_mut(name).unwrap();
    let place = at % gradient.len();
    gradient[place] += 0.03 * scale;
    prop_assert!(refused(&found), "a fault in the gradient of {name} isn't found");
    let mut found = right.clone();
    found.loss += 0.03 * found.loss.abs().max(1e-3);
    prop_assert!(refused(&found), "a fault in the loss isn't found");
    let scale = right.predictions.iter().fold(0.1, |most: f64, value| most.max(value.abs()));
    let mut found = right;
    let place = at % found.predictions.len();
    found.predictions[place] += 0.03 * scale;
    prop_assert!(refused(&found), "a fault in a prediction isn't found");
    Ok(())
}

fn by_cpu(graph: &Graph, recipe: &Recipe, store: &ParamStore) -> Results {
    let Recipe { plan, loss_loops, objective, threads, .. } = *recipe;
    let precision = Precision::F32;
    let model = CpuModel::new(Arc::new(graph.clone()), recipe.dims(), threads).unwrap();
    let step = looped_cpu::Step { plan, loss_loops, objective, precision };
    let (loss, gradients) = model.step(store, &recipe.data(), step).unwrap();
    let predictions = model.predictor(store, precision).predict(&recipe.data(), plan.loops).unwrap();
    let predictions = predictions.values.iter().map(|value| f64::from(*value)).collect();
    Results { loss, gradients: by_name(&gradients), predictions }
}

fn hold(recipe: &Recipe, changed: usize) -> Result<(), TestCaseError> {
    let graph = recipe.probed_graph();
    let store = noisy_parameters(&graph, recipe.seed);
    let changed = changed % (2 * recipe.points);
    rows_hold(&graph, &store, &recipe.data(), recipe.plan.loops, changed).map_err(TestCaseError::fail)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 400, max_global_rejects: 1 << 20, failure_persistence: None, ..cases() })]

    #[test]
    fn engines_agree_on_random_graphs(recipe in recipes()) {
        agree(&recipe)?;
    }

    #[test]
    fn rows_that_cannot_see_a_changed_row_or_the_state_never_move(recipe in recipes(), changed in 0..12_usize) {
        hold(&recipe, changed)?;
    }
}

fn line(kind: u8, a: u8, b: u8, n: u8) -> Line {
    Line { kind, a, b, n }
}

/// A norm of ten equal numbers is 0 but for the rounding of their mean, times 316: the engines may differ by that.
fn norm_of_a_constant_row() -> Recipe {
    Recipe {
        n_dims: 1,
        width: 10,
        first: 1,
        inject: 2,
        keep: 0,
        lines: vec![line(31, 31, 0, 20), line(14, 26, 44, 0), line(0, 0, 0, 0), line(3, 46, 0, 0)],
        next: 3,
        read: 0,
        prompts: 1,
        points: 1,
        plan: LoopPlan { loops: 2, window: 1 },
        loss_loops: 1,
        objective: Objective::SquaredError,
        threads: 1,
        seed: 5_028_380_354_956_406,
    }
}

#[test]
fn a_norm_of_a_constant_row_is_held_to_what_rounding_moves() {
    agree(&norm_of_a_constant_row()).unwrap();
}

#[test]
fn what_rounding_moves_hides_no_fault() {
    (0..40).for_each(|at| find_a_fault(&norm_of_a_constant_row(), at).unwrap());
}

/// An RMS norm of numbers that cancel but for their rounding: by it each loop multiplies what is off.
#[test]
fn a_norm_of_what_cancels_is_held_to_what_rounding_moves() {
    let model = Recipe {
        n_dims: 1,
        width: 6,
        first: 0,
        inject: 0,
        keep: 0,
        lines: vec![line(6, 223, 0, 0), line(6, 0, 0, 0), line(13, 233, 14, 0)],
        next: 6,
        read: 4,
        prompts: 1,
        points: 1,
        plan: LoopPlan { loops: 3, window: 3 },
        loss_loops: 1,
        objective: Objective::SquaredError,
        threads: 1,
        seed: 0,
    };
    agree(&model).unwrap();
}

/// A tanh that lacks 6e-8 of 1 has a slope of 1.2e-7 where it should have none: here it meets x in x tanh x, which is in the hundreds.
#[test]
fn a_tanh_of_large_numbers_has_no_slope() {
    let nothing = line(0, 0, 0, 0);
    let lines = vec![line(40, 0, 198, 86), nothing, line(14, 1, 46, 0), nothing, nothing, line(6, 218, 0, 0)];
    let model = Recipe {
        n_dims: 1,
        width: 6,
        first: 1,
        inject: 1,
        keep: 0,
        lines,
        next: 2,
        read: 3,
        prompts: 2,
        points: 4,
        plan: LoopPlan { loops: 4, window: 4 },
        loss_loops: 1,
        objective: Objective::CrossEntropy,
        threads: 1,
        seed: 2_775_185_622_895_781_211,
    };
    agree(&model).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_fault_is_found_in_any_graph(recipe in recipes(), at in any::<usize>()) {
        find_a_fault(&recipe, at)?;
    }
}

/// 300 graphs, or as many as `PROPTEST_CASES` says.
fn cases() -> ProptestConfig {
    let default = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_some() {
        default
    } else {
        ProptestConfig { cases: 300, ..default }
    }
}
