use looped_core::{Predictions, Prompts, Request, Rng, Split};
use looped_tasks::{LinearRegression, Parity};

use super::chosen::{in_use, single_step};
use super::*;
use crate::solvers::{
    ConjugateGradients, GradientDescent, HeavyBall, NewtonSchulz, Problem, Solver, Step, predict,
};

/// A model that takes so many steps of a solver in each loop.
struct Follows {
    solver: Box<dyn Solver>,
    steps: usize,
}

impl Predictor for Follows {
    fn predict(&self, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        let mut values = vec![0.0; loops * prompts.ys.len()];
        for i in 0..prompts.prompts {
            let (xs, ys) = in_use(prompts, i, prompts.n_dims);
            for k in 0..prompts.points {
                let problem = Problem::new(&xs[..k * prompts.n_dims], &ys[..k], prompts.n_dims);
                let iterates = self.solver.iterates(&problem, loops * self.steps);
                for index in 0..loops {
                    let w = &iterates[(index + 1) * self.steps - 1];
                    values[index * prompts.ys.len() + i * prompts.points + k] =
                        predict(w, &xs[k * prompts.n_dims..][..prompts.n_dims]) as f32;
                }
            }
        }
        Ok(Predictions { values, width: 1, loops, prompts: prompts.prompts, points: prompts.points })
    }
}

/// Pairs of numbers turned by an angle: as long as before, and the cosine with what they were is that of the angle.
fn turned(v: &[f64], angle: f64) -> Vec<f64> {
    let (sin, cos) = angle.sin_cos();
    v.chunks_exact(2).flat_map(|p| [cos * p[0] - sin * p[1], sin * p[0] + cos * p[1]]).collect()
}

/// The angle after a loop, and the step of plain gradient descent that is turned by it.
const ANGLES: [f64; 3] = [0.3, 0.9, 2.0];
const TURNED_STEP: usize = 2;

/// What is turned: the residuals at the points with an example before them, or the weights after each number of examples.
struct Turned(Measure);

impl Turned {
    /// The solver's weights on the first k points, and its residual there at the next.
    fn solved(prompts: &Prompts, i: usize) -> Vec<(Vec<f64>, f64)> {
        let (dims, (xs, ys)) = (prompts.n_dims, in_use(prompts, i, prompts.n_dims));
        let at = |k: usize| {
            let problem = Problem::new(&xs[..k * dims], &ys[..k], dims);
            let solver = GradientDescent { step: Step::InverseLargest };
            let w = solver.iterates(&problem, TURNED_STEP).pop().unwrap();
            let residual = predict(&w, &xs[k * dims..][..dims]) - f64::from(ys[k]);
            (w, residual)
        };
        (0..prompts.points).map(at).collect()
    }

    fn predictions(&self, prompts: &Prompts, i: usize, angle: f64) -> Vec<f32> {
        let (xs, ys) = in_use(prompts, i, prompts.n_dims);
        let solved = Self::solved(prompts, i);
        if self.0 == Measure::Weights {
            let weights = solved.iter().map(|(w, _)| turned(w, angle));
            return weights.zip(xs.chunks(prompts.n_dims)).map(|(w, x)| predict(&w, x) as f32).collect();
        }
        let residuals: Vec<f64> = solved[1..].iter().map(|(_, residual)| *residual).collect();
        // Nothing is known before the first example: what is said there doesn't count.
        let own =
            turned(&residuals, angle).into_iter().zip(&ys[1..]).map(|(r, &y)| (r + f64::from(y)) as f32);
        std::iter::once(1e3).chain(own).collect()
    }
}

impl Predictor for Turned {
    fn predict(&self, prompts: &Prompts, loops: usize) -> Result<Predictions> {
        let values = ANGLES[..loops]
            .iter()
            .flat_map(|&angle| (0..prompts.prompts).flat_map(move |i| self.predictions(prompts, i, angle)));
        let (count, points) = (prompts.prompts, prompts.points);
        Ok(Predictions { values: values.collect(), width: 1, loops, prompts: count, points })
    }
}

#[test]
fn similarities_are_cosines_of_residuals_and_of_weights_and_the_difference_is_that_of_the_predictions() {
    let plan = plan(24, 13, 4, 3);
    let found = |what| match_solvers(&Turned(what), &LinearRegression {}, &plan, Vec::new(), &()).unwrap();
    let safe = 1;
    let at_step = |found: &Match, measure, index: usize| {
        let agreement = found.agreements.iter().find(|agreement| agreement.measure == measure).unwrap();
        assert_eq!((found.solvers[safe].as_str(), found.steps[TURNED_STEP - 1]), ("gd_safe", TURNED_STEP));
        agreement.mean[index][safe][TURNED_STEP - 1].unwrap()
    };
    let (residuals, weights) = (found(Measure::Errors), found(Measure::Weights));
    let prompts = plan.eval.draw(&LinearRegression {}, 0, 24).unwrap();
    let squares = |i: usize| Turned::solved(&prompts, i)[1..].iter().map(|(_, r)| r * r).sum::<f64>();
    // The mean square of the twelve residuals, divided by the four dimensions.
    let size = (0..24).map(squares).sum::<f64>() / 24.0 / 12.0 / 4.0;
    for (index, angle) in ANGLES.into_iter().enumerate() {
        let similar = at_step(&residuals, Measure::Errors, index);
        assert!((similar - angle.cos()).abs() < 1e-5, "SimE {similar} at {angle}");
        let similar = at_step(&weights, Measure::Weights, index);
        assert!((similar - angle.cos()).abs() < 1e-5, "SimW {similar} at {angle}");
        // What is turned by an angle has moved by 2 sin(angle / 2) of its length.
        let (apart, moved) = (at_step(&residuals, Measure::Difference, index), 2.0 * (angle / 2.0).sin());
        assert!((apart / (moved * moved * size) - 1.0).abs() < 1e-4, "difference {apart} at {angle}");
    }
}

fn plan(prompts: usize, points: usize, dims: usize, loops: usize) -> MatchPlan {
    MatchPlan {
        eval: EvalPlan { prompts, resamples: 100, ..EvalPlan::new(points, dims, dims, loops, 3) },
        steps: 16,
    }
}

#[test]
fn a_model_that_takes_two_steps_of_a_solver_a_loop_is_found_out_by_each_measure() {
    let solvers: [(Box<dyn Solver>, usize); 3] = [
        (Box::new(GradientDescent { step: Step::InverseLargest }), 1),
        (Box::new(HeavyBall {}), 4),
        (Box::new(NewtonSchulz {}), 7),
    ];
    for (solver, place) in solvers {
        let name = solver.name();
        let model = Follows { solver, steps: 2 };
        let found =
            match_solvers(&model, &LinearRegression {}, &plan(24, 12, 4, 3), Vec::new(), &()).unwrap();
        assert_eq!(found.solvers[place], name);
        assert_eq!(found.agreements.len(), 3);
        for Agreement { measure, best, closest, .. } in &found.agreements {
            for index in 0..3 {
                let Best { step, low, high, value, .. } = best[index][place].clone();
                assert_eq!(
                    (step, low, high),
                    (2 * (index + 1), step, step),
                    "{name}, {measure:?}, loop {index}"
                );
                let exact = if *measure == Measure::Difference { 0.0 } else { 1.0 };
                assert!((value - exact).abs() < 1e-6, "{name}, {measure:?}: {value}");
                assert_eq!(
                    (closest[index].solver, closest[index].share),
                    (place, 1.0),
                    "{name}, {measure:?}"
                );
            }
        }
        // Its error is that of the solver after as many steps, and it is linear in the query.
        for index in 0..3 {
            let of_solver = found.solver_errors[place][2 * index + 1].unwrap();
            assert!((found.error.mean[index] - of_solver).abs() < 1e-6 * (1.0 + of_solver));
            assert!(found.linear.as_ref().unwrap().mean[index] > 1.0 - 1e-9);
        }
        let again: Match = serde_json::from_str(&serde_json::to_string(&found).unwrap()).unwrap();
        assert_eq!(again, found);
    }
}

#[test]
fn the_single_step_is_the_best_of_its_grid_and_does_not_diverge() {
    let request = Request { prompts: 32, points: 12, dims: 4, n_dims: 4, first: 0, split: Split::Evaluation };
    let prompts = LinearRegression {}.sample(request, &mut Rng::stream(1, "single", 0)).unwrap();
    let chosen = single_step(&prompts, 4, 8);
    let error = |size: f64| -> f64 {
        let solver = GradientDescent { step: Step::Single(size) };
        let mut sum = 0.0;
        for i in 0..prompts.prompts {
            let (xs, ys) = in_use(&prompts, i, 4);
            for k in 1..prompts.points {
                let w = solver.iterates(&Problem::new(&xs[..k * 4], &ys[..k], 4), 8).pop().unwrap();
                sum += (predict(&w, &xs[k * 4..][..4]) - f64::from(ys[k])).powi(2);
            }
        }
        sum
    };
    assert!(error(chosen) < error(chosen * 1.5) && error(chosen) < error(chosen / 1.5), "{chosen}");
}

#[test]
fn steps_are_dense_where_they_are_few_and_end_where_they_were_asked_to() {
    assert_eq!(steps_up_to(3), [1, 2, 3]);
    assert_eq!(steps_up_to(20), (1..=16).chain([18, 20]).collect::<Vec<_>>());
    let long = steps_up_to(64);
    assert_eq!((long.last(), long.len()), (Some(&64), 26));
    assert!(long.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn what_has_no_examples_or_no_squared_error_is_refused() {
    let model = Follows { solver: Box::new(ConjugateGradients {}), steps: 1 };
    let refused =
        |task: &dyn Task, plan| match_solvers(&model, task, &plan, Vec::new(), &()).unwrap_err().to_string();
    let parity: Parity = serde_json::from_str("{}").unwrap();
    assert!(refused(&parity, plan(4, 4, 1, 2)).contains("`parity` has classes"));
    assert!(refused(&LinearRegression {}, plan(4, 1, 2, 2)).contains("at least 2 points"));
    assert!(refused(&LinearRegression {}, MatchPlan { steps: 0, ..plan(4, 4, 2, 2) }).contains("0 steps"));
}
