//! Prompts that a formula might choke on: every baseline answers with finite numbers, 0 first.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::predict;
use looped_core::{Baseline, Prompts};
use looped_eval::baselines::{Boosting, Net, Tree};
use looped_eval::{baseline_predictions, linear_baselines};
use proptest::prelude::*;

/// All of them, the slow ones cut short.
fn baselines() -> Vec<Box<dyn Baseline>> {
    let mut baselines = linear_baselines();
    baselines.push(Box::new(Tree::default()));
    baselines.push(Box::new(Boosting { trees: 3, ..Boosting::default() }));
    baselines.push(Box::new(Net { hidden: 5, steps: 5, ..Net::default() }));
    baselines
}

/// Few distinct values, so that points, coordinates and targets repeat, vanish and depend on each other.
fn coarse() -> impl Strategy<Value = f32> {
    prop_oneof![Just(0.0), Just(1.0), Just(-1.0), Just(2.0), Just(1e-10), Just(1e6), -3f32..3.0]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn every_baseline_answers_every_prompt(
        (dims, xs, ys) in (1usize..7, 1usize..9).prop_flat_map(|(dims, points)| {
            let vector = |n| prop::collection::vec(coarse(), n);
            (Just(dims), vector(points * dims), vector(points))
        })
    ) {
        for baseline in baselines() {
            let predictions = predict(baseline.as_ref(), &xs, &ys);
            prop_assert_eq!(predictions.len(), ys.len());
            prop_assert_eq!(predictions[0], 0.0);
            prop_assert!(predictions.iter().all(|p| p.is_finite()), "{}: {:?}", baseline.name(), predictions);
        }
        prop_assert_eq!(xs.len(), dims * ys.len());
    }
}

#[test]
fn nothing_to_learn_is_predicted_as_nothing() {
    for baseline in baselines() {
        assert_eq!(predict(baseline.as_ref(), &[0.0; 12], &[0.0; 4])[..1], [0.0]);
        if !baseline.name().starts_with("net") {
            assert_eq!(predict(baseline.as_ref(), &[1.0; 12], &[0.0; 4]), [0.0; 4], "{}", baseline.name());
        }
    }
}

#[test]
fn coordinates_not_in_use_change_nothing() {
    let narrow = common::linear_prompts(3, 8, 3, 1);
    let wide = Prompts {
        xs: narrow.xs.chunks(3).flat_map(|x| [x[0], x[1], x[2], 0.0, 0.0]).collect(),
        n_dims: 5,
        ..narrow.clone()
    };
    // The net has other weights, and trees break ties by coordinate.
    let list = linear_baselines();
    let (a, b) = (baseline_predictions(&narrow, &list).unwrap(), baseline_predictions(&wide, &list).unwrap());
    for ((name, a), (_, b)) in a.iter().zip(&b) {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4), "{name}: {a:?} {b:?}");
    }
}
