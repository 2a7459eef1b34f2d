//! The linear baselines against theory.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use common::{Constant, LINEAR, linear_prompts, predict};
use looped_core::Rng;
use looped_eval::baselines::{Averaging, Knn, LeastSquares, Ridge};
use looped_eval::{EvalPlan, default_baselines, evaluate};

/// The published table's least squares at 10 examples is .515.
#[test]
fn least_squares_errs_by_the_part_of_w_not_seen() {
    let plan = EvalPlan { resamples: 200, ..EvalPlan::new(41, 20, 20, 1, 3) };
    let evaluation = evaluate(&Constant(0.0), &LINEAR, &plan, &default_baselines(), &()).unwrap();
    let curve = evaluation.curves.get("least_squares").unwrap();
    for k in 0..41 {
        let expected = (20.0 - k as f64).max(0.0) / 20.0;
        // 4 standard errors; a squared normal's standard deviation is about 1.5 times its mean.
        let tolerance = 4.0 * 1.6 * expected / 1280f64.sqrt() + 1e-6;
        assert!((curve.mean[k] - expected).abs() < tolerance, "{k}: {}, expected {expected}", curve.mean[k]);
    }
}

#[test]
fn the_solution_of_minimum_norm_lies_in_the_span_of_the_points() {
    let prompts = linear_prompts(20, 6, 8, 1);
    for i in 0..20 {
        let (xs, ys) = prompts.get(i);
        let rows: Vec<&[f32]> = xs.chunks(8).collect();
        // A seen point: interpolated.
        let again = [&xs[..40], rows[2]].concat();
        let prediction = predict(&LeastSquares {}, &again, ys)[5];
        assert!((prediction - ys[2]).abs() < 1e-5, "{prediction} for {}", ys[2]);
        // A point orthogonal to all seen: the shortest w has no part along it.
        let mut basis: Vec<Vec<f64>> = Vec::new();
        for row in rows {
            let rest = orthogonal_part(row, &basis);
            basis.push(rest);
        }
        let query: Vec<f32> = basis[5].iter().map(|&v| v as f32).collect();
        let prediction = predict(&LeastSquares {}, &[&xs[..40], &query].concat(), ys)[5];
        assert!(prediction.abs() < 1e-4, "{prediction}");
    }
}

/// What is left of `row` beside an orthogonal basis (Gram-Schmidt, twice for accuracy).
fn orthogonal_part(row: &[f32], basis: &[Vec<f64>]) -> Vec<f64> {
    let mut rest: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
    for b in basis.iter().chain(basis) {
        let product = |a: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let along = product(&rest) / product(b);
        rest.iter_mut().zip(b).for_each(|(r, b)| *r -= along * b);
    }
    rest
}

#[test]
fn a_repeated_point_with_two_values_is_fitted_in_between() {
    let (xs, ys) = ([1.0, 2.0, 1.0, 2.0, 1.0, 2.0], [1.0, 3.0, 0.0]);
    assert!((predict(&LeastSquares {}, &xs, &ys)[2] - 2.0).abs() < 1e-6);
}

#[test]
fn averaging_is_the_mean_of_y_x() {
    let (xs, ys) = ([1.0, 0.0, 0.0, 2.0, 3.0, 5.0], [4.0, 7.0, 0.0]);
    // w = ((4, 0) + (0, 14)) / 2
    assert_eq!(predict(&Averaging {}, &xs, &ys), [0.0, 0.0, 3.0 * 2.0 + 5.0 * 7.0]);
}

#[test]
fn neighbours_equally_far_are_taken_in_order() {
    let (xs, ys) = ([1.0, -1.0, 1.0, -1.0, 0.0], [1.0, 2.0, 4.0, 8.0, 0.0]);
    assert_eq!(predict(&Knn { k: 3 }, &xs, &ys)[4], 7.0 / 3.0);
    assert_eq!(predict(&Knn { k: 1 }, &xs, &ys)[4], 1.0);
    assert_eq!(predict(&Knn { k: 9 }, &xs, &ys)[4], 15.0 / 4.0);
}

#[test]
fn ridge_goes_to_least_squares_as_alpha_goes_to_0() {
    let prompts = linear_prompts(1, 12, 4, 2);
    let (xs, ys) = prompts.get(0);
    let (ridge, least_squares) =
        (predict(&Ridge { alpha: 1e-14 }, xs, ys), predict(&LeastSquares {}, xs, ys));
    for (a, b) in ridge.iter().zip(&least_squares) {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }
}

/// Under noise of variance s^2, no estimator beats ridge with alpha = s^2, also near as many points as dimensions,
/// where least squares is at its worst.
#[test]
fn ridge_is_best_under_noise() {
    let mut prompts = linear_prompts(400, 11, 10, 4);
    let mut rng = Rng::stream(4, "noise", 0);
    prompts.ys.iter_mut().for_each(|y| *y += 0.5 * rng.normal() as f32);
    let error = |baseline: &dyn looped_core::Baseline| -> f64 {
        let squared = |i| {
            let (xs, ys) = prompts.get(i);
            f64::from(predict(baseline, xs, ys)[10] - ys[10]).powi(2)
        };
        (0..400).map(squared).sum()
    };
    let best = error(&Ridge { alpha: 0.25 });
    assert!(best < error(&LeastSquares {}) && best < error(&Ridge { alpha: 5.0 }));
    assert!(best < error(&Ridge { alpha: 0.01 }) && best < error(&Averaging {}));
}
