//! Random graphs: all engines compute the same, and what is said of a graph's rows holds, whatever is written.
//!
//! `PROPTEST_CASES=2000` looks at more of them.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod recipe;

use looped_cpu::CpuModel;
use looped_reference::ReferenceModel;
use looped_testing::{Asked, engines_agree, noisy_parameters, rows_hold};
use proptest::prelude::*;
use recipe::{Recipe, recipes};

fn agree(recipe: &Recipe) -> Result<(), TestCaseError> {
    let graph = recipe.graph();
    // Without a loop there is nothing to be computed loop by loop.
    let refused = CpuModel::refusals(&graph);
    prop_assume!(!refused.iter().any(|why| why.contains("doesn't depend on the state before it")));
    let store = noisy_parameters(&graph, recipe.seed);
    let Recipe { plan, loss_loops, objective, threads, .. } = *recipe;
    let asked = Asked { plan, loss_loops, objective, threads };
    // A model that grows from loop to loop says nothing of engines.
    let model = ReferenceModel::new(graph.clone()).unwrap();
    let step = looped_reference::Step { plan, loss_loops, objective };
    prop_assume!(model.step(&store, &recipe.data(), step).unwrap().0 < 1e3);
    engines_agree(&graph, recipe.dims(), &store, &recipe.data(), asked).map_err(TestCaseError::fail)
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

/// A norm of ten equal numbers is 0 but for the rounding of their mean, times 316: the engines may differ by that.
#[test]
fn a_norm_of_a_constant_row_is_held_to_what_rounding_moves() {
    let line = |kind, a, b, n| recipe::Line { kind, a, b, n };
    let plan = looped_core::LoopPlan { loops: 2, window: 1 };
    let lines = vec![line(31, 31, 0, 20), line(14, 26, 44, 0), line(0, 0, 0, 0), line(3, 46, 0, 0)];
    let model = Recipe {
        n_dims: 1,
        width: 10,
        first: 1,
        inject: 2,
        keep: 0,
        lines,
        next: 3,
        read: 0,
        prompts: 1,
        points: 1,
        plan,
        loss_loops: 1,
        objective: looped_core::Objective::SquaredError,
        threads: 1,
        seed: 5_028_380_354_956_406,
    };
    agree(&model).unwrap();
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
