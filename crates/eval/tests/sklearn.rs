//! Agreement with numpy and scikit-learn; the fixtures are made by `scripts/sklearn/make_fixtures.py`.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use looped_core::{Baseline, Prompts};
use looped_eval::baseline_predictions;
use looped_eval::baselines::{Boosting, Knn, Lasso, LeastSquares, Ridge, Tree};
use safetensors::SafeTensors;

static FIXTURES: &[u8] = include_bytes!("fixtures/sklearn.safetensors");

fn tensor(name: &str) -> (Vec<usize>, Vec<f32>) {
    let file = SafeTensors::deserialize(FIXTURES).unwrap();
    let view = file.tensor(name).unwrap();
    let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    (view.shape().to_vec(), values)
}

fn prompts(family: &str) -> Prompts {
    let (shape, xs) = tensor(&format!("{family}.xs"));
    let (_, ys) = tensor(&format!("{family}.ys"));
    Prompts::pairs(xs, ys, [shape[0], shape[1], shape[2]])
}

/// Our predictions and the reference's.
fn both(family: &str, baseline: Box<dyn Baseline>) -> (Vec<f32>, Vec<f32>) {
    let expected = tensor(&format!("{family}.{}", baseline.name())).1;
    let ours = baseline_predictions(&prompts(family), &[baseline]).unwrap().remove(0).1;
    assert_eq!(ours.len(), expected.len());
    assert!(ours.iter().chain(&expected).all(|p| p.is_finite()));
    (ours, expected)
}

fn largest_difference(baseline: Box<dyn Baseline>, family: &str) -> f32 {
    let (ours, expected) = both(family, baseline);
    ours.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

const LINEAR_FAMILIES: [&str; 2] = ["linear", "noisy_sparse"];

#[test]
fn least_squares_and_ridge_agree() {
    for family in LINEAR_FAMILIES {
        let least_squares = largest_difference(Box::new(LeastSquares {}), family);
        let ridge = largest_difference(Box::new(Ridge { alpha: 0.1 }), family);
        assert!(least_squares < 1e-4 && ridge < 1e-4, "{family}: {least_squares} {ridge}");
    }
}

#[test]
fn neighbours_agree_exactly() {
    for family in LINEAR_FAMILIES {
        assert_eq!(largest_difference(Box::new(Knn { k: 3 }), family), 0.0, "{family}");
    }
}

#[test]
fn lasso_agrees() {
    for family in LINEAR_FAMILIES {
        for alpha in [1.0, 0.1, 0.01, 0.001, 0.0001] {
            let difference = largest_difference(Box::new(Lasso { alpha }), family);
            assert!(difference < 1e-3, "{family}, alpha {alpha}: {difference}");
        }
    }
}

/// Equally good splits are common among few points, and either is right: the errors agree, not each prediction.
#[test]
fn trees_err_alike() {
    let baselines: [Box<dyn Baseline>; 4] = [
        Box::new(Tree::default()),
        Box::new(Tree { signs: true, ..Tree::default() }),
        Box::new(Boosting::default()),
        Box::new(Boosting { signs: true, ..Boosting::default() }),
    ];
    for baseline in baselines {
        let (name, ys) = (baseline.name(), prompts("tree").ys);
        let (ours, expected) = both("tree", baseline);
        let error = |p: &[f32]| -> f64 { p.iter().zip(&ys).map(|(p, y)| f64::from(p - y).powi(2)).sum() };
        let ratio = error(&ours) / error(&expected);
        assert!((ratio - 1.0).abs() < 0.1, "{name}: {ratio} times scikit-learn's error");
    }
}

/// On 0 and -0 too, which have no sign.
#[test]
fn trees_on_signs_see_nothing_else_of_x() {
    let prompts = prompts("tree");
    let mut smaller = prompts.clone();
    smaller.xs.iter_mut().for_each(|x| *x = x.signum() * x.abs().sqrt());
    let mut without = prompts.clone();
    without.xs.iter_mut().step_by(7).for_each(|x| *x = 0.0);
    let mut minus = without.clone();
    minus.xs.iter_mut().step_by(7).for_each(|x| *x = -0.0);
    let baselines: [Box<dyn Baseline>; 2] = [
        Box::new(Tree { signs: true, ..Tree::default() }),
        Box::new(Boosting { signs: true, trees: 10, ..Boosting::default() }),
    ];
    let of = |prompts: &Prompts| baseline_predictions(prompts, &baselines).unwrap();
    assert_eq!(of(&prompts), of(&smaller));
    assert_eq!(of(&without), of(&minus));
    assert_ne!(of(&prompts), of(&without));
}

/// The comparison would show a difference.
#[test]
fn another_estimator_does_not_agree() {
    let ours =
        baseline_predictions(&prompts("linear"), &[Box::new(Lasso { alpha: 0.011 })]).unwrap().remove(0).1;
    let expected = tensor("linear.lasso_0.01").1;
    assert!(ours.iter().zip(&expected).any(|(a, b)| (a - b).abs() > 1e-3));
    assert!(
        expected.iter().filter(|&&p| p == 0.0).count() == 6,
        "only the first prediction of each prompt is 0"
    );
}
