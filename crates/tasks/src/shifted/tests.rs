//! Each distribution's definition, checked on linear regression.

use super::*;
use crate::checks::{draw, first_ys, moments_are, reports, request};
use crate::{Dataset, LinearClassification, LinearRegression};

const PROMPTS: usize = 2000;
const POINTS: usize = 4;
const DIMS: usize = 6;

fn shifted(distribution: Distribution) -> Shifted {
    Shifted::of(&LinearRegression {}, distribution).unwrap()
}

/// The points of each prompt, as rows of f64, under a distribution.
fn points(distribution: Distribution) -> Vec<Vec<Vec<f64>>> {
    let prompts = draw(&shifted(distribution), PROMPTS, POINTS, DIMS, DIMS + 2);
    (0..PROMPTS)
        .map(|i| {
            let rows = prompts.get(i).0.chunks(DIMS + 2);
            rows.map(|row| {
                assert_eq!(row[DIMS..], [0.0, 0.0], "a coordinate beyond dims isn't 0");
                row[..DIMS].iter().map(|&x| f64::from(x)).collect()
            })
            .collect()
        })
        .collect()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn same_quadrant(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a * b > 0.0)
}

fn squared_lengths(prompts: &[Vec<Vec<f64>>], point: usize) -> Vec<f64> {
    prompts.iter().map(|rows| product(&rows[point], &rows[point])).collect()
}

/// The mean squared length is d: its standard error is that of the sample.
fn lengths_are_kept(prompts: &[Vec<Vec<f64>>], point: usize) {
    let lengths = squared_lengths(prompts, point);
    let mean = lengths.iter().sum::<f64>() / PROMPTS as f64;
    let variance = lengths.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / PROMPTS as f64;
    assert!((mean - DIMS as f64).abs() < 4.5 * (variance / PROMPTS as f64).sqrt(), "{mean}");
}

#[test]
fn standard_is_the_base_itself() {
    let standard = draw(&shifted(Distribution::Standard {}), 5, 7, 3, 4);
    assert_eq!(standard, draw(&LinearRegression {}, 5, 7, 3, 4));
}

#[test]
fn every_shift_keeps_the_functions_and_changes_the_prompts() {
    let base = draw(&LinearRegression {}, 3, DIMS, DIMS, DIMS);
    for distribution in Distribution::suite() {
        let moved = draw(&shifted(distribution.clone()), 3, DIMS, DIMS, DIMS);
        assert_ne!(moved, base, "{}", distribution.name());
        assert!(moved.xs.iter().chain(&moved.ys).all(|v| v.is_finite()));
    }
    // f is linear: from x scaled by 3 it gives y scaled by 3.
    let scaled = draw(&shifted(Distribution::ScaledInputs { factor: 3.0 }), 3, DIMS, DIMS, DIMS);
    for (a, b) in scaled.ys.iter().zip(&base.ys) {
        assert!((a - 3.0 * b).abs() < 1e-5 * b.abs().max(1.0));
    }
}

#[test]
fn quadrants() {
    let mut signs = Vec::new();
    for rows in points(Distribution::RandomQuadrants {}) {
        assert!(rows[1..POINTS - 1].iter().all(|row| same_quadrant(row, &rows[0])));
        signs.push(rows[0][0].signum());
    }
    moments_are(signs.into_iter(), 0.0, 1.0);
    // The query is free: it hits the examples' quadrant one time in 2^d.
    let hits = points(Distribution::RandomQuadrants {})
        .iter()
        .filter(|rows| same_quadrant(&rows[0], &rows[POINTS - 1]))
        .count();
    assert!((5..80).contains(&hits), "{hits} of {PROMPTS}, expected 31");

    for rows in points(Distribution::OppositeQuadrants {}) {
        assert!(rows[1..POINTS - 1].iter().all(|row| same_quadrant(row, &rows[0])));
        let opposite: Vec<f64> = rows[POINTS - 1].iter().map(|x| -x).collect();
        assert!(same_quadrant(&rows[0], &opposite));
    }
}

#[test]
fn orthogonal_query() {
    let standard = points(Distribution::Standard {});
    let orthogonal = points(Distribution::OrthogonalQuery {});
    for (before, after) in standard.iter().zip(&orthogonal) {
        assert_eq!(before[..POINTS - 1], after[..POINTS - 1]);
        let (query, moved) = (&before[POINTS - 1], &after[POINTS - 1]);
        for example in &after[..POINTS - 1] {
            assert!(product(example, moved).abs() < 1e-5, "{}", product(example, moved));
        }
        assert!((product(query, query) - product(moved, moved)).abs() < 1e-4);
    }
}

#[test]
fn more_points_than_an_orthogonal_query_allows_are_refused() {
    let task = shifted(Distribution::OrthogonalQuery {});
    let sample =
        |points| task.sample(crate::checks::request(2, points, 3, 5), &mut Rng::stream(1, "test", 0));
    assert!(sample(3).is_ok());
    assert_eq!(
        sample(4).unwrap_err().to_string(),
        "data: orthogonal_query asks for 4 points of 3 coordinates; allowed: at most 3 points"
    );
}

#[test]
fn repeated_query() {
    let mut which = [0.0; POINTS - 1];
    for rows in points(Distribution::RepeatedQuery {}) {
        let found = rows[..POINTS - 1].iter().position(|row| *row == rows[POINTS - 1]);
        which[found.expect("the query is an example")] += 1.0;
    }
    let expected = PROMPTS as f64 / 3.0;
    assert!(which.iter().all(|count| (count - expected).abs() < 4.5 * (expected * 2.0 / 3.0).sqrt()));
    // Its y is that of the example.
    let prompts = draw(&shifted(Distribution::RepeatedQuery {}), 20, POINTS, DIMS, DIMS);
    assert!((0..20).all(|i| prompts.get(i).1[..POINTS - 1].contains(&prompts.get(i).1[POINTS - 1])));
}

#[test]
fn half_subspace() {
    // d/2 = 3 directions: the fourth point is a combination of the other three.
    for rows in points(Distribution::HalfSubspace {}) {
        let basis = crate::inputs::orthonormal(rows[..3].iter().cloned());
        let mut rest = rows[3].clone();
        crate::inputs::remove(&mut rest, &basis);
        // Rows are rounded to f32, and three random ones can be nearly dependent.
        assert!(product(&rest, &rest).sqrt() < 1e-3, "{rest:?}");
    }
    let prompts = points(Distribution::HalfSubspace {});
    lengths_are_kept(&prompts, 0);
    moments_are(prompts.iter().map(|rows| rows[0][0]), 0.0, 1.0);
    // Two points share the subspace: (x.x')^2 has mean d^2 / (d/2), where free points have d.
    moments_are(
        prompts.iter().map(|rows| product(&rows[0], &rows[1]).abs()),
        mean_absolute_product(&prompts),
        12.0,
    );
}

/// The sample's own, for checks of the second moment alone.
fn mean_absolute_product(prompts: &[Vec<Vec<f64>>]) -> f64 {
    prompts.iter().map(|rows| product(&rows[0], &rows[1]).abs()).sum::<f64>() / PROMPTS as f64
}

#[test]
fn skewed_covariance() {
    let prompts = points(Distribution::SkewedCovariance { condition: None });
    lengths_are_kept(&prompts, 0);
    // The basis is fresh for each prompt, so over prompts every coordinate has variance 1.
    moments_are(prompts.iter().map(|rows| rows[0][2]), 0.0, 1.0);
    // Within one it is shared: E (x.x')^2 is the sum of the covariance's squared eigenvalues, c^2 / i^4.
    let sum = |power| (1..=DIMS).map(|i| (i as f64).powi(power)).sum::<f64>();
    let expected = (DIMS as f64 / sum(-2)).powi(2) * sum(-4);
    moments_are(
        prompts.iter().map(|rows| product(&rows[0], &rows[1]).abs()),
        mean_absolute_product(&prompts),
        expected,
    );
}

#[test]
fn a_chosen_condition_number() {
    let condition: f64 = 100.0;
    let prompts = points(Distribution::SkewedCovariance { condition: Some(condition) });
    lengths_are_kept(&prompts, 0);
    // As above: E (x.x')^2 is the sum of the squared eigenvalues, c^2 / condition^(2 (i - 1) / (d - 1)).
    let eigenvalues: Vec<f64> = (0..DIMS).map(|i| condition.powf(-(i as f64) / (DIMS - 1) as f64)).collect();
    assert!((eigenvalues[0] / eigenvalues[DIMS - 1] - condition).abs() < 1e-9);
    let (sum, squares) = (eigenvalues.iter().sum::<f64>(), eigenvalues.iter().map(|e| e * e).sum::<f64>());
    moments_are(
        prompts.iter().map(|rows| product(&rows[0], &rows[1]).abs()),
        mean_absolute_product(&prompts),
        (DIMS as f64 / sum).powi(2) * squares,
    );
    // Of 1 nothing is left but the turn of the coordinates.
    let even = points(Distribution::SkewedCovariance { condition: Some(1.0) });
    let plain = points(Distribution::Standard {});
    for (even, plain) in even.iter().flatten().zip(plain.iter().flatten()) {
        let square = |x: &[f64]| product(x, x);
        assert!((square(even) - square(plain)).abs() < 1e-4 * square(plain));
    }
    let task = shifted(Distribution::SkewedCovariance { condition: Some(0.5) });
    assert!(reports(&task).starts_with("distribution.condition: is 0.5"), "{}", reports(&task));
}

#[test]
fn scales_and_noise() {
    let ys = |distribution| first_ys(&shifted(distribution), 20_000, 5);
    moments_are(ys(Distribution::ScaledOutputs { factor: 0.5 }), 0.0, 1.25);
    moments_are(ys(Distribution::ScaledInputs { factor: 3.0 }), 0.0, 45.0);
    moments_are(ys(Distribution::LabelNoise { std: 2.0 }), 0.0, 9.0);
    let (noisy, clean) = (shifted(Distribution::LabelNoise { std: 1.0 }), shifted(Distribution::Standard {}));
    let (noisy, clean) = (draw(&noisy, 500, 5, 3, 3), draw(&clean, 500, 5, 3, 3));
    assert_eq!(noisy.xs, clean.xs);
    moments_are(noisy.ys.iter().zip(&clean.ys).map(|(a, b)| f64::from(a - b)), 0.0, 1.0);
}

#[test]
fn names_are_distinct_and_say_the_settings() {
    let mut names: Vec<String> = Distribution::suite().iter().map(Distribution::name).collect();
    assert!(names.contains(&"scaled_inputs_0.333".into()) && names.contains(&"label_noise_1".into()));
    names.sort();
    names.dedup();
    assert_eq!(names.len(), Distribution::suite().len());
}

#[test]
fn what_cannot_be_shifted_is_refused() {
    assert!(Shifted::of(&Dataset::new("prompts.safetensors"), Distribution::Standard {}).is_none());
    assert!(Shifted::of(&LinearClassification {}, Distribution::LabelNoise { std: 1.0 }).is_none());
    assert!(Shifted::of(&LinearClassification {}, Distribution::HalfSubspace {}).is_some());

    let read = |text| serde_json::from_str::<Shifted>(text);
    let noise =
        r#"{"base":{"type":"linear_classification"},"distribution":{"type":"label_noise","std":1.0}}"#;
    let message = "label_noise_1 doesn't suit classes, which are -1 or 1";
    assert_eq!(reports(&read(noise).unwrap()), format!("distribution.type: {message}"));
    let both = r#"{"base":{"type":"sparse_linear_regression","sparsity":99},
        "distribution":{"type":"scaled_inputs","factor":-1.0}}"#;
    assert_eq!(
        reports(&read(both).unwrap()),
        "base.sparsity: is 99; allowed: 1 to model.n_dims, 8\n\
         distribution.factor: is -1; allowed: 0.000001 to 1000000"
    );
    let dataset = r#"{"base":{"type":"dataset","path":"a"},"distribution":{"type":"standard"}}"#;
    let error = read(dataset).unwrap_err().to_string();
    assert!(error.contains("unknown variant `dataset`") && error.contains("`decision_tree`"), "{error}");
    for extra in [
        r#"{"base":{"type":"linear_regression"},"distribution":{"type":"standard","std":1}}"#,
        r#"{"base":{"type":"linear_regression","std":1},"distribution":{"type":"standard"}}"#,
    ] {
        assert!(read(extra).is_err(), "{extra}");
    }
}

/// Known before the first step, not at the stage that asks for it.
#[test]
fn a_request_for_more_points_than_the_query_can_be_orthogonal_to_is_reported() {
    let task = Shifted::of(&LinearRegression {}, Distribution::OrthogonalQuery {}).unwrap();
    let reports = |points| {
        let mut problems = Problems::new();
        task.check(&crate::checks::DIMS, request(1, points, 3, 8), &mut problems);
        problems.to_string()
    };
    assert_eq!(reports(3), "");
    assert_eq!(
        reports(4),
        "distribution: orthogonal_query asks for 4 points of 3 coordinates; allowed: at most 3 points"
    );
}
