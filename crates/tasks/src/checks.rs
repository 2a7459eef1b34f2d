//! What the tests of function classes share.

use looped_core::{ModelDims, Problems, Prompts, Request, Rng, Split, Task};

use crate::Function;

/// A request for training prompts.
pub(crate) const fn request(prompts: usize, points: usize, dims: usize, n_dims: usize) -> Request {
    Request { prompts, points, dims, n_dims, first: 0, split: Split::Train }
}

/// Prompts from a fixed seed.
pub(crate) fn draw(task: &dyn Task, prompts: usize, points: usize, dims: usize, n_dims: usize) -> Prompts {
    task.sample(request(prompts, points, dims, n_dims), &mut Rng::stream(42, "prompts", 0)).unwrap()
}

/// The y of one point each of `prompts` prompts: independent values, as those of one prompt are not.
pub(crate) fn first_ys(task: &dyn Task, prompts: usize, dims: usize) -> impl Iterator<Item = f64> + use<> {
    draw(task, prompts, 1, dims, dims).ys.into_iter().map(f64::from)
}

/// Independent values have this mean and mean square, within 4.5 standard errors of the sample.
#[track_caller]
pub(crate) fn moments_are(values: impl Iterator<Item = f64>, mean: f64, square: f64) {
    let values: Vec<f64> = values.collect();
    let n = values.len() as f64;
    for (name, power, expected) in [("mean", 1, mean), ("mean square", 2, square)] {
        let powers = || values.iter().map(|v| v.powi(power));
        let found = powers().sum::<f64>() / n;
        let error = (powers().map(|p| (p - found).powi(2)).sum::<f64>() / n / n).sqrt();
        // 1e-6 is for values without spread, rounded to f32.
        assert!(
            (found - expected).abs() <= 4.5 * error + 1e-6,
            "{name} {found}, expected {expected} +- {error}"
        );
    }
}

/// The problems that a task reports for a model of 8 coordinates and 12 points.
pub(crate) fn reports(task: &dyn Task) -> String {
    let mut problems = Problems::new();
    task.validate(&DIMS, &mut problems);
    problems.to_string()
}

/// The sizes of that model.
pub(crate) const DIMS: ModelDims = ModelDims { n_dims: 8, n_positions: 12, n_embd: 16, n_layer: 1 };

/// The weights of a linear function: its values at the unit vectors.
pub(crate) fn weights(f: &Function, width: usize) -> Vec<f64> {
    (0..width)
        .map(|i| {
            let mut x = vec![0.0; width];
            x[i] = 1.0;
            f(&x)
        })
        .collect()
}

/// w with rows.w = ys, for as many rows as coordinates (Gauss-Jordan elimination with pivoting).
pub(crate) fn solve(rows: &[Vec<f64>], ys: &[f32]) -> Vec<f64> {
    let n = rows.len();
    let mut system: Vec<Vec<f64>> =
        rows.iter().zip(ys).map(|(row, &y)| row.iter().copied().chain([f64::from(y)]).collect()).collect();
    for i in 0..n {
        let pivot = (i..n).max_by(|&a, &b| system[a][i].abs().total_cmp(&system[b][i].abs())).unwrap();
        system.swap(i, pivot);
        let row = system[i].clone();
        for (j, other) in system.iter_mut().enumerate() {
            if j != i {
                let factor = other[i] / row[i];
                other.iter_mut().zip(&row).for_each(|(a, b)| *a -= factor * b);
            }
        }
    }
    system.iter().enumerate().map(|(i, row)| row[n] / row[i]).collect()
}
