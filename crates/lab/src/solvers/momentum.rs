//! Descent that remembers its last step: heavy ball, Chebyshev.

use super::{Problem, Solver};

/// Polyak's heavy ball: w <- w - a (S w - b) + c (w - w before), with the a and c that converge fastest between the smallest and the largest eigenvalue
/// (Polyak, 1964): a = 4 / (sqrt(L) + sqrt(m))^2, c = ((sqrt(L) - sqrt(m)) / (sqrt(L) + sqrt(m)))^2.
#[derive(Clone, Copy, Debug)]
pub struct HeavyBall {}

impl Solver for HeavyBall {
    fn name(&self) -> String {
        "heavy_ball".into()
    }

    fn iterates(&self, problem: &Problem, steps: usize) -> Vec<Vec<f64>> {
        let Some((least, most)) = problem.bounds() else { return problem.nothing(steps) };
        let (low, high) = (least.sqrt(), most.sqrt());
        let (size, kept) = (4.0 / (high + low).powi(2), ((high - low) / (high + low)).powi(2));
        problem.spectral(steps, |_, l, b, [w, before]| w - size * (l * w - b) + kept * (w - before))
    }
}

/// Chebyshev's semi-iteration (Golub and Van Loan, *Matrix Computations*, section 11.2): after k steps the error along each eigenvector is that of the
/// polynomial of degree k that is smallest over all of [smallest, largest eigenvalue].
#[derive(Clone, Copy, Debug)]
pub struct Chebyshev {}

impl Solver for Chebyshev {
    fn name(&self) -> String {
        "chebyshev".into()
    }

    fn iterates(&self, problem: &Problem, steps: usize) -> Vec<Vec<f64>> {
        let Some((least, most)) = problem.bounds() else { return problem.nothing(steps) };
        let (centre, half) = ((most + least) / 2.0, (most - least) / 2.0);
        // The weights of each step: 1, 1 / (1 - r^2 / 2), then 1 / (1 - r^2 w / 4), r being half / centre.
        let ratio = (half / centre).powi(2);
        let weights: Vec<f64> = (0..steps)
            .scan(1.0, |before, step| {
                *before = match step {
                    0 => 1.0,
                    1 => 1.0 / (1.0 - ratio / 2.0),
                    _ => 1.0 / (1.0 - ratio * *before / 4.0),
                };
                Some(*before)
            })
            .collect();
        problem.spectral(steps, |step, l, b, [w, before]| {
            before + weights[step] * (w - before - (l * w - b) / centre)
        })
    }
}
