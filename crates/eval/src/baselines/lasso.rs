//! The lasso.

use looped_core::{Baseline, Problems, Prompt, Result, schemars, typetag};
use serde::{Deserialize, Serialize};

use super::{dot, one_by_one};
use crate::cholesky;

/// Least squares that favours sparse weights: minimises |y - Xw|^2 / (2n) + alpha |w|_1 over n points.
///
/// Agrees with scikit-learn's `Lasso(alpha, fit_intercept=False)`, solved to convergence. Crates have the same
/// objective (linfa-elasticnet), but start every fit from 0: along the points of a prompt, with an alpha near 0 and
/// nearly as many points as dimensions, plain coordinate descent takes thousands of sweeps.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lasso {
    /// The penalty's strength (above 0).
    #[serde(default = "hundredth")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1e30))]
    pub alpha: f64,
}

const fn hundredth() -> f64 {
    0.01
}

#[typetag::serde(name = "lasso")]
impl Baseline for Lasso {
    fn name(&self) -> String {
        format!("lasso_{}", self.alpha)
    }

    fn validate(&self, problems: &mut Problems) {
        problems.require_positive(self.alpha, "alpha");
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        one_by_one(
            prompt,
            Fit::new(prompt.dims),
            |fit, x| {
                fit.minimise(self.alpha);
                Ok(dot(&fit.w, x))
            },
            Fit::learn,
        )
    }
}

/// Most rounds of a sweep and an active-set step; a handful is the rule.
const ROUNDS: usize = 200;
/// Changes and violations below this part of the largest weight, or of the penalty, count as none.
const TOLERANCE: f64 = 1e-8;
/// The ridge penalty of an active-set step, beside the largest diagonal element of X^T X.
const DAMPING: f64 = 1e-12;

/// The fit to the points so far; each new minimum is sought from the last one.
///
/// In the units of n times the objective, |y - Xw|^2 / 2 + penalty |w|_1 with penalty = n alpha, whose smooth part has
/// the gradient Gw - c.
struct Fit {
    dims: usize,
    points: f64,
    /// G = X^T X, (dims, dims).
    gram: Vec<f64>,
    /// c = X^T y, (dims).
    moments: Vec<f64>,
    /// (dims).
    w: Vec<f64>,
}

impl Fit {
    fn new(dims: usize) -> Self {
        Self { dims, points: 0.0, gram: vec![0.0; dims * dims], moments: vec![0.0; dims], w: vec![0.0; dims] }
    }

    fn learn(&mut self, x: &[f32], y: f32) {
        self.points += 1.0;
        for (j, &a) in x.iter().enumerate() {
            let a = f64::from(a);
            self.moments[j] += a * f64::from(y);
            let row = &mut self.gram[j * self.dims..(j + 1) * self.dims];
            row.iter_mut().zip(x).for_each(|(g, &b)| *g += a * f64::from(b));
        }
    }

    fn gram(&self, j: usize, k: usize) -> f64 {
        self.gram[j * self.dims + k]
    }

    /// c - Gw: the residual's correlation with each column of X.
    fn residual_correlations(&self) -> Vec<f64> {
        let rows = self.gram.chunks_exact(self.dims).zip(&self.moments);
        rows.map(|(row, c)| c - row.iter().zip(&self.w).map(|(g, w)| g * w).sum::<f64>()).collect()
    }

    /// Goes to the minimum: sweeps find which weights are 0 and the others' signs, an active-set step finds their values.
    fn minimise(&mut self, alpha: f64) {
        let penalty = alpha * self.points;
        for _ in 0..ROUNDS {
            self.sweep(penalty);
            let moved = self.active_set_step(penalty);
            if moved <= TOLERANCE && self.zeros_stay(penalty) {
                break;
            }
        }
    }

    /// Minimises over each weight in turn (Friedman et al., *J. Statistical Software* 33:1, 2010).
    fn sweep(&mut self, penalty: f64) {
        let mut correlations = self.residual_correlations();
        for j in 0..self.dims {
            let curvature = self.gram(j, j);
            if curvature == 0.0 {
                continue;
            }
            let target = correlations[j] + curvature * self.w[j];
            let new = target.signum() * (target.abs() - penalty).max(0.0) / curvature;
            let change = new - self.w[j];
            if change != 0.0 {
                self.w[j] = new;
                (0..self.dims).for_each(|k| correlations[k] -= change * self.gram(j, k));
            }
        }
    }

    /// Goes to the minimum over the non-zero weights with their present signs, and gives the last step's length,
    /// relative to the largest weight.
    ///
    /// A weight that would change its sign on the way becomes 0 instead, and the rest continues from there (the
    /// feature-sign search of Lee et al., NIPS 2006); each step lowers the objective.
    fn active_set_step(&mut self, penalty: f64) -> f64 {
        loop {
            let active: Vec<usize> = (0..self.dims).filter(|&j| self.w[j] != 0.0).collect();
            let Some(step) = self.step_to_minimum(&active, penalty) else { return f64::INFINITY };
            let zeros: Vec<f64> = active.iter().zip(&step).map(|(&j, &s)| zero_at(self.w[j], s)).collect();
            let part = zeros.iter().copied().fold(1.0, f64::min);
            for ((&j, &s), &zero) in active.iter().zip(&step).zip(&zeros) {
                self.w[j] = if zero <= part { 0.0 } else { self.w[j] + part * s };
            }
            if part == 1.0 {
                let largest = |values: &[f64]| values.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
                return largest(&step) / largest(&self.w).max(f64::MIN_POSITIVE);
            }
        }
    }

    /// From the active weights to the minimum of the objective without its kinks, by a Cholesky factorisation.
    ///
    /// A slight ridge penalty on the step makes the minimum unique where columns depend on each other.
    fn step_to_minimum(&self, active: &[usize], penalty: f64) -> Option<Vec<f64>> {
        let damping = DAMPING * active.iter().map(|&j| self.gram(j, j)).fold(0.0, f64::max);
        let elements = active.iter().flat_map(|&a| active.iter().map(move |&b| (a, b)));
        let mut matrix: Vec<f64> =
            elements.map(|(a, b)| self.gram(a, b) + if a == b { damping } else { 0.0 }).collect();
        let correlations = self.residual_correlations();
        let gradient = |&j: &usize| correlations[j] - penalty * self.w[j].signum();
        let mut step: Vec<f64> = active.iter().map(gradient).collect();
        cholesky::solve(&mut matrix, &mut step)?;
        Some(step)
    }

    /// Whether every weight at 0 is at its minimum there.
    fn zeros_stay(&self, penalty: f64) -> bool {
        let limit = penalty * (1.0 + TOLERANCE);
        self.residual_correlations().iter().zip(&self.w).all(|(c, &w)| w != 0.0 || c.abs() <= limit)
    }
}

/// The part of a step after which a weight is 0; infinite if it keeps its sign.
fn zero_at(weight: f64, step: f64) -> f64 {
    if (weight + step) * weight <= 0.0 { -weight / step } else { f64::INFINITY }
}

looped_core::register!(Baseline, "lasso", Lasso);

#[cfg(test)]
mod tests {
    use looped_core::Rng;

    use super::*;

    /// The conditions of the minimum, which is the only one: the residual's correlation with a weight's column is the penalty
    /// with the weight's sign; with the column of a weight at 0 it is no larger.
    fn assert_minimum(fit: &Fit, alpha: f64) {
        let penalty = alpha * fit.points;
        let tolerance = 1e-7 * fit.moments.iter().fold(penalty, |a, m| a.max(m.abs()));
        for (&w, c) in fit.w.iter().zip(fit.residual_correlations()) {
            let excess = if w == 0.0 { c.abs() - penalty } else { (c - penalty * w.signum()).abs() };
            assert!(excess < tolerance, "after {} points, alpha {alpha}: w {w}, correlation {c}", fit.points);
        }
    }

    #[test]
    fn every_fit_is_at_its_minimum() {
        for alpha in [1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-6] {
            let mut rng = Rng::stream(1, "lasso", 0);
            for dims in [1, 5, 20] {
                let (mut fit, w) = (Fit::new(dims), rng.normals(dims));
                for _ in 0..2 * dims + 1 {
                    let x = rng.normals(dims);
                    let noise = 0.1 * rng.normal() as f32;
                    fit.learn(&x, noise + w.iter().zip(&x).map(|(w, x)| w * x).sum::<f32>());
                    fit.minimise(alpha);
                    assert_minimum(&fit, alpha);
                }
            }
        }
    }

    #[test]
    fn columns_that_repeat_or_vanish_do_no_harm() {
        let mut rng = Rng::stream(2, "lasso", 0);
        let mut fit = Fit::new(5);
        for _ in 0..12 {
            let x = rng.normals(2);
            fit.learn(&[x[0], x[1], x[0], 0.0, 2.0 * x[1]], x[0] - 3.0 * x[1]);
            fit.minimise(1e-3);
            assert_minimum(&fit, 1e-3);
        }
    }

    #[test]
    fn a_large_penalty_leaves_nothing() {
        let mut fit = Fit::new(2);
        fit.learn(&[1.0, 2.0], 3.0);
        fit.minimise(7.0);
        assert_eq!(fit.w, [0.0, 0.0]);
        fit.minimise(5.0);
        // (x y - penalty) / x^2 = (6 - 5) / 4
        assert_eq!(fit.w[0], 0.0);
        assert!((fit.w[1] - 0.25).abs() < 1e-9, "{}", fit.w[1]);
    }
}
