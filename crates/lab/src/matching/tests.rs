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
