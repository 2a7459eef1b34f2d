//! Suites: a shift of the query is scored on prompts of its own, and nothing else changes.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::sync::Mutex;

use common::{Constant, Failing, LINEAR, Linear};
use looped_core::Watch;
use looped_eval::{EvalPlan, Shift, SuiteEvaluation, default_baselines, evaluate, evaluate_suite, examples};

fn plan(points: usize) -> EvalPlan {
    EvalPlan { prompts: 32, resamples: 20, ..EvalPlan::new(points, 3, 3, 2, 7) }
}

fn shift(name: &str, query_only: bool, most_points: Option<usize>) -> Shift {
    Shift { name: name.into(), task: Box::new(Linear { sign: false }), query_only, most_points }
}

#[test]
fn few_numbers_of_examples_are_all_scored_and_many_are_thinned_out() {
    assert_eq!(examples(1), [0]);
    assert_eq!(examples(5), [0, 1, 2, 3, 4]);
    assert_eq!(examples(12), (0..12).collect::<Vec<_>>());
    let many = examples(41);
    assert_eq!((many.len(), many[0], many[11]), (12, 0, 40));
    assert!(many.is_sorted_by(|a, b| a < b), "{many:?}");
}

#[test]
fn each_shift_has_a_curve_over_its_own_numbers_of_examples() {
    let shifts = [shift("all", false, None), shift("query", true, None), shift("short_query", true, Some(3))];
    let (model, baselines) = (Constant(0.5), default_baselines());
    let found = evaluate_suite("test", &model, &LINEAR, &shifts, &plan(9), &baselines, &()).unwrap();
    let plain = evaluate(&model, &LINEAR, &plan(9), &baselines, &()).unwrap();
    assert_eq!((&found.standard, &found.shifts[0].evaluation), (&plain, &plain));
    // The same task, but prompts of k + 1 points for each k.
    let query = &found.shifts[1];
    assert_eq!(query.examples, (0..9).collect::<Vec<_>>());
    for &k in &query.examples {
        let of_length = evaluate(&model, &LINEAR, &plan(k + 1), &baselines, &()).unwrap();
        for ((name, curve), (_, expected)) in query.evaluation.curves.iter().zip(of_length.curves.iter()) {
            let last = |values: &[f64]| values[k];
            assert_eq!(
                (last(&curve.mean), last(&curve.low), last(&curve.high)),
                (expected.mean[k], expected.low[k], expected.high[k]),
                "{name} at {k}"
            );
        }
    }
    assert_eq!(query.evaluation.converged_at.len(), 9);
    assert_eq!(found.shifts[2].examples, [0, 1, 2]);
    assert_eq!(found.shifts[2].evaluation.curves.get("model").unwrap().mean.len(), 3);

    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<SuiteEvaluation>(&text).unwrap(), found);
    let table = found.table();
    for line in ["as in training         8", "query                  8", "short_query            2"] {
        assert!(table.contains(line), "{line}:\n{table}");
    }
}

#[test]
fn a_shift_that_fails_is_named() {
    let shifts = [shift("strange", false, Some(0))];
    let error = evaluate_suite("test", &Constant(0.0), &LINEAR, &shifts, &plan(4), &[], &()).unwrap_err();
    assert!(error.to_string().contains("shift strange: evaluation: points is 0"), "{error}");
}

#[test]
fn a_baseline_that_fails_at_one_length_has_no_curve_there() {
    let shifts = [shift("all", false, None), shift("query", true, None)];
    let baselines: Vec<Box<dyn looped_core::Baseline>> = vec![Box::new(Failing { at: 2 })];
    let found = evaluate_suite("test", &Constant(0.5), &LINEAR, &shifts, &plan(4), &baselines, &()).unwrap();
    let names = |at: usize| {
        let curves = found.shifts[at].evaluation.curves.iter();
        curves.map(|(name, curve)| (name.to_owned(), curve.mean.len())).collect::<Vec<_>>()
    };
    let (model, failing) = (("model".to_owned(), 4), ("failing".to_owned(), 4));
    assert_eq!((names(0), names(1)), (vec![model.clone(), failing], vec![model]));
    assert_eq!(found.failures().len(), 1);
    let told = "query: the baseline failing failed and has no curve: no fit for y = ";
    assert!(found.table().contains(told), "{}", found.table());
}

#[test]
fn a_watch_hears_of_the_prompts_of_all_shifts_together() {
    struct Told(Mutex<Vec<(usize, usize)>>);
    impl Watch for Told {
        fn advanced(&self, done: usize, total: usize) {
            self.0.lock().unwrap().push((done, total));
        }
    }
    let shifts = [shift("all", false, None), shift("query", true, Some(3))];
    let watch = Told(Mutex::default());
    evaluate_suite("test", &Constant(0.0), &LINEAR, &shifts, &plan(9), &[], &watch).unwrap();
    // In training, one shift, and one with prompts of 1, 2 and 3 points: five times 32.
    assert_eq!(*watch.0.lock().unwrap(), [32, 64, 96, 128, 160].map(|done| (done, 160)));
}
