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

/// 300 graphs, or as many as `PROPTEST_CASES` says.
fn cases() -> ProptestConfig {
    let default = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_some() {
        default
    } else {
        ProptestConfig { cases: 300, ..default }
    }
}
