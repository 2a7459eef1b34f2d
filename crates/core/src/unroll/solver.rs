//! Fixed points x = f(x), by repetition or with Anderson's acceleration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::squares;
use crate::Problems;

/// How a fixed point is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Solver {
    /// x <- f(x).
    #[default]
    Iteration,
    /// Anderson's acceleration: the mixture of the last x whose residuals cancel best (Walker and Ni, SIAM J. Numer. Anal. 49, 2011), for each
    /// prompt by itself.
    Anderson {
        /// How many are mixed.
        #[serde(default = "memory")]
        #[schemars(range(min = 2, max = 20))]
        memory: usize,
        /// How far the mixture goes from the x to the f(x).
        #[serde(default = "one")]
        #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
        damping: f64,
    },
}

const fn memory() -> usize {
    5
}

const fn one() -> f64 {
    1.0
}

/// Of the sum of squares of the residuals that are mixed, what is added so that equal ones can be told apart.
const RIDGE: f64 = 1e-8;

/// Where a solver came to.
pub(super) struct Solved {
    /// (prompts, ...)
    pub(super) x: Vec<f32>,
    /// ||f(x) - x|| / ||f(x)|| of each prompt, where it was least.
    pub(super) residuals: Vec<f64>,
}

impl Solver {
    pub(super) fn validate(self, problems: &mut Problems) {
        if let Self::Anderson { memory, damping } = self {
            problems.within("solver", |problems| {
                problems.require_in(memory, 2..=20, "memory");
                problems.require(damping > 0.0 && damping <= 1.0, "damping", || {
                    format!("is {damping}; allowed: above 0, at most 1")
                });
            });
        }
    }

    /// Where each prompt's x goes next, from its last x and f(x), the newest last: (prompts, ...) of every entry.
    pub(super) fn next(self, history: &[[Vec<f32>; 2]], prompts: usize) -> Vec<f32> {
        let newest = &history[history.len() - 1];
        let Self::Anderson { memory, damping } = self else { return newest[1].clone() };
        let recent = &history[history.len().saturating_sub(memory)..];
        let each = (newest[0].len() / prompts.max(1)).max(1);
        let mut next = Vec::with_capacity(newest[0].len());
        for start in (0..newest[0].len()).step_by(each) {
            let own = |of: &[Vec<f32>; 2]| [0, 1].map(|i| of[i][start..start + each].to_vec());
            let entries: Vec<[Vec<f32>; 2]> = recent.iter().map(own).collect();
            next.extend(mixture(&entries, damping));
        }
        next
    }

    /// Looks for x = f(x) from `x` on, with `most` evaluations at most, until every prompt's residual is below `tolerance`.
    ///
    /// A prompt that is there stays there, whatever the others do. What comes back is each prompt's f(x) of least residual: where f
    /// doesn't contract, an early one.
    pub(super) fn solve(
        self,
        mut x: Vec<f32>,
        prompts: usize,
        (most, tolerance): (usize, f64),
        f: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> Solved {
        let each = (x.len() / prompts.max(1)).max(1);
        // Where there is nothing to look for, it is found.
        let at_first = if x.is_empty() { 0.0 } else { f64::INFINITY };
        let mut best = Solved { x: x.clone(), residuals: vec![at_first; prompts] };
        let mut history: Vec<[Vec<f32>; 2]> = Vec::new();
        for _ in 0..most {
            let image = f(&x);
            for (i, residual) in residuals(&x, &image, prompts).into_iter().enumerate() {
                let own = i * each..(i + 1) * each;
                if best.residuals[i] > tolerance && residual < best.residuals[i] {
                    best.residuals[i] = residual;
                    best.x[own.clone()].copy_from_slice(&image[own]);
                }
            }
            if best.residuals.iter().all(|residual| *residual <= tolerance) {
                break;
            }
            history.push([x, image]);
            if history.len() > 20 {
                history.remove(0);
            }
            x = self.next(&history, prompts);
        }
        best
    }
}

/// ||f(x) - x|| / ||f(x)|| of each prompt.
pub(super) fn residuals(x: &[f32], image: &[f32], prompts: usize) -> Vec<f64> {
    let steps: Vec<f32> = image.iter().zip(x).map(|(image, x)| image - x).collect();
    let lengths = squares(image, prompts).into_iter().map(f64::sqrt);
    squares(&steps, prompts)
        .into_iter()
        .map(f64::sqrt)
        .zip(lengths)
        .map(|(step, length)| step / length.max(f64::MIN_POSITIVE))
        .collect()
}

/// The mixture of one prompt's entries.
fn mixture(entries: &[[Vec<f32>; 2]], damping: f64) -> Vec<f32> {
    let count = entries.len();
    let residual = |i: usize| {
        entries[i][1].iter().zip(&entries[i][0]).map(|(image, x)| f64::from(*image) - f64::from(*x))
    };
    let product = |i: usize, j: usize| residual(i).zip(residual(j)).map(|(a, b)| a * b).sum::<f64>();
    // The right side is the last column.
    let row = |i: usize| (0..count).map(|j| product(i, j)).chain([1.0]).collect();
    let mut products: Vec<Vec<f64>> = (0..count).map(row).collect();
    let trace: f64 = (0..count).map(|i| products[i][i]).sum();
    (0..count).for_each(|i| products[i][i] += RIDGE * trace.max(f64::MIN_POSITIVE));
    // The weights add up to 1: the solution of G w = 1, divided by its sum.
    let weights = eliminated(products);
    let sum: f64 = weights.iter().sum();
    let usable = sum.is_finite() && sum != 0.0;
    let weight = |i: usize| if usable { weights[i] / sum } else { f64::from(u8::from(i + 1 == count)) };
    let mut mixed = vec![0.0; entries[0][0].len()];
    for (i, [x, image]) in entries.iter().enumerate() {
        let weight = weight(i);
        for ((mixed, x), image) in mixed.iter_mut().zip(x).zip(image) {
            let x = f64::from(*x);
            *mixed += weight * (x + damping * (f64::from(*image) - x));
        }
    }
    mixed.into_iter().map(|x| x as f32).collect()
}

/// The solution of a symmetric positive definite system, whose right side is the last column.
fn eliminated(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let count = rows.len();
    for pivot in 0..count {
        let (above, below) = rows.split_at_mut(pivot + 1);
        for row in below {
            let factor = row[pivot] / above[pivot][pivot];
            row.iter_mut().zip(&above[pivot]).skip(pivot).for_each(|(x, of)| *x -= factor * of);
        }
    }
    let mut solution = vec![0.0; count];
    for i in (0..count).rev() {
        let known: f64 = (i + 1..count).map(|j| rows[i][j] * solution[j]).sum();
        solution[i] = (rows[i][count] - known) / rows[i][i];
    }
    solution
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two prompts of two numbers: x <- A x + b, with a slow eigenvalue of 0.95.
    fn map(x: &[f32]) -> Vec<f32> {
        x.chunks_exact(2).flat_map(|x| [0.95 * x[0] + 0.1, -0.3 * x[0] + 0.5 * x[1] + 1.0]).collect()
    }

    const FIXED: [f32; 2] = [2.0, 0.8];

    fn from(solver: Solver, most: usize) -> Solved {
        solver.solve(vec![0.0, 0.0, 2.0, 0.8], 2, (most, 1e-6), &mut map)
    }

    #[test]
    fn anderson_finds_a_linear_maps_fixed_point_after_as_many_steps_as_coordinates() {
        let anderson = Solver::Anderson { memory: 5, damping: 1.0 };
        let found = from(anderson, 5);
        for x in found.x.chunks_exact(2) {
            assert!(x.iter().zip(FIXED).all(|(x, fixed)| (x - fixed).abs() < 1e-3), "{x:?}");
        }
        let slow = from(Solver::Iteration, 5);
        assert!((slow.x[0] - FIXED[0]).abs() > 1.0 && slow.residuals[0] > 0.01, "{:?}", slow.x);
        assert!(slow.residuals[1] < 1e-6);
        assert!((from(Solver::Iteration, 400).x[0] - FIXED[0]).abs() < 1e-3);
    }

    /// Equal residuals give a singular system, which the ridge lets pass.
    #[test]
    fn anderson_bears_equal_entries() {
        let entries = vec![[vec![1.0, 2.0], vec![2.0, 2.0]]; 3];
        assert_eq!(mixture(&entries, 1.0), [2.0, 2.0]);
        let at_rest = vec![[vec![1.0, 2.0], vec![1.0, 2.0]]; 3];
        assert_eq!(mixture(&at_rest, 1.0), [1.0, 2.0]);
    }

    #[test]
    fn where_nothing_contracts_the_least_residual_counts() {
        let found = Solver::Iteration.solve(vec![0.0], 1, (30, 1e-6), &mut |x| vec![1.0 - 1.5 * x[0]]);
        assert!(found.residuals[0] > 0.5 && found.x[0].abs() < 10.0, "{:?} {:?}", found.x, found.residuals);
    }
}
