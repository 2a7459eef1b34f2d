use looped_core::Rng;
use looped_eval::baselines::least_squares_weights;

use super::*;

/// Examples whose inputs are stretched along their coordinates so that their covariance has this condition number.
fn examples(seed: u64, points: usize, dims: usize, condition: f64) -> (Vec<f32>, Vec<f32>) {
    let mut rng = Rng::stream(seed, "solvers", 0);
    let stretch = |i: usize| condition.powf(-0.5 * (i % dims) as f64 / (dims - 1) as f64) as f32;
    let xs = rng.normals(points * dims).into_iter().enumerate().map(|(i, x)| stretch(i) * x).collect();
    (xs, rng.normals(points))
}

fn least_squares(xs: &[f32], ys: &[f32], dims: usize) -> Vec<f64> {
    least_squares_weights(looped_core::Prompt { xs, ys, dims })
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    let gap = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    gap / b.iter().map(|b| b * b).sum::<f64>().sqrt()
}

fn all(xs: &[f32], dims: usize) -> Vec<Box<dyn Solver>> {
    vec![
        Box::new(GradientDescent { step: Step::Optimal }),
        Box::new(GradientDescent { step: Step::InverseLargest }),
        Box::new(GradientDescent { step: Step::Single(0.01) }),
        Box::new(Preconditioned::by(xs, dims)),
        Box::new(HeavyBall {}),
        Box::new(Chebyshev {}),
        Box::new(ConjugateGradients {}),
        Box::new(NewtonSchulz {}),
    ]
}

#[test]
fn conjugate_gradients_are_least_squares_after_as_many_steps_as_coordinates() {
    for (points, dims, condition) in [(10, 5, 1.0), (40, 20, 1.0), (3, 5, 1.0), (10, 5, 100.0), (60, 8, 1e4)]
    {
        let (xs, ys) = examples(1, points, dims, condition);
        let iterates = ConjugateGradients {}.iterates(&Problem::new(&xs, &ys, dims), dims);
        let gap = apart(&iterates[dims - 1], &least_squares(&xs, &ys, dims));
        assert!(gap < 1e-7, "{points} points of {dims}, condition {condition}: {gap}");
        if (points, dims) == (10, 5) {
            let before = apart(&iterates[dims - 2], &least_squares(&xs, &ys, dims));
            assert!(before > 1e-6, "and not before: {before}");
        }
    }
}

#[test]
fn all_end_at_least_squares_and_the_shortest_where_there_are_many() {
    for points in [3, 30] {
        let (xs, ys) = examples(2, points, 5, 1.0);
        let problem = Problem::new(&xs, &ys, 5);
        let solution = least_squares(&xs, &ys, 5);
        assert!(apart(&problem.solution(), &solution) < 1e-9);
        for solver in all(&xs, 5) {
            // Other coordinates have another shortest solution.
            if points == 3 && solver.name() == "gd_preconditioned" {
                continue;
            }
            let gap = apart(&solver.iterates(&problem, 4000)[3999], &solution);
            assert!(gap < 1e-6, "{}, {points} points: {gap}", solver.name());
        }
    }
}

#[test]
fn a_problem_of_nothing_is_left_alone() {
    let problem = Problem::new(&[], &[], 3);
    for solver in all(&[1.0, 2.0, 3.0], 3) {
        assert_eq!(solver.iterates(&problem, 2), vec![vec![0.0; 3]; 2], "{}", solver.name());
    }
}

/// For each eigenvalue l, the part of the solution that is missing after k steps.
fn missing(solver: &dyn Solver, problem: &Problem, k: usize) -> Vec<(f64, f64)> {
    let w = problem.eigen.along(&solver.iterates(problem, k)[k - 1]);
    let solution = problem.eigen.along(&problem.solution());
    let values = problem.eigen.values.iter().copied();
    values.zip(w.iter().zip(solution)).map(|(l, (w, solution))| (l, 1.0 - w / solution)).collect()
}

fn problem() -> Problem {
    let (xs, ys) = examples(3, 12, 5, 10.0);
    Problem::new(&xs, &ys, 5)
}

#[test]
fn the_error_of_each_solver_is_the_polynomial_that_theory_says() {
    let problem = problem();
    let (m, big) = problem.bounds().unwrap();
    let close = |solver: &dyn Solver, k: usize, theory: &dyn Fn(f64) -> f64| {
        for (l, found) in missing(solver, &problem, k) {
            assert!(
                (found - theory(l)).abs() < 1e-9,
                "{}, step {k}: {found}, not {}",
                solver.name(),
                theory(l)
            );
        }
    };
    for k in 1..=6 {
        let power = k as i32;
        close(&GradientDescent { step: Step::Optimal }, k, &|l| (1.0 - 2.0 * l / (m + big)).powi(power));
        close(&GradientDescent { step: Step::InverseLargest }, k, &|l| (1.0 - l / big).powi(power));
        close(&GradientDescent { step: Step::Single(0.02) }, k, &|l| (1.0 - 0.02 * l).powi(power));
        // T_k within [-1, 1] and beyond.
        let chebyshev = |x: f64| {
            if x.abs() <= 1.0 {
                (k as f64 * x.acos()).cos()
            } else {
                (k as f64 * x.abs().acosh()).cosh() * x.signum().powi(power)
            }
        };
        close(&Chebyshev {}, k, &|l| {
            chebyshev((big + m - 2.0 * l) / (big - m)) / chebyshev((big + m) / (big - m))
        });
        let size = problem.eigen.values.iter().map(|l| l.powi(4)).sum::<f64>().sqrt();
        close(&NewtonSchulz {}, k, &|l| (1.0 - l * l / size).powf(2f64.powi(power)));
    }
}

#[test]
fn the_heavy_ball_keeps_a_part_of_its_last_step() {
    let problem = problem();
    let (m, big) = problem.bounds().unwrap();
    let (size, kept) =
        (4.0 / (m.sqrt() + big.sqrt()).powi(2), ((big.sqrt() - m.sqrt()) / (big.sqrt() + m.sqrt())).powi(2));
    let (mut before, mut w) = (vec![0.0; 5], vec![0.0; 5]);
    for iterate in (HeavyBall {}).iterates(&problem, 5) {
        let mut next = w.clone();
        add(&mut next, -size, &times(problem.gram(), &w));
        add(&mut next, size, problem.moment());
        add(&mut next, kept, &w);
        add(&mut next, -kept, &before);
        before = std::mem::replace(&mut w, next);
        assert!(apart(&iterate, &w) < 1e-10);
    }
}

#[test]
fn a_preconditioner_that_is_the_inverse_of_s_takes_one_step() {
    let (xs, ys) = examples(4, 12, 5, 100.0);
    let problem = Problem::new(&xs, &ys, 5);
    let gap = apart(&Preconditioned::by(&xs, 5).iterates(&problem, 1)[0], &problem.solution());
    assert!(gap < 1e-9, "{gap}");
    // Of inputs with the second moment of the identity it is gradient descent.
    let unit: Vec<f32> = (0..25).map(|i| f32::from(u8::from(i / 5 == i % 5))).collect();
    let plain = GradientDescent { step: Step::Optimal }.iterates(&problem, 7);
    let same = Preconditioned::by(&unit, 5).iterates(&problem, 7);
    assert!(plain.iter().zip(&same).all(|(a, b)| apart(a, b) < 1e-10));
}
