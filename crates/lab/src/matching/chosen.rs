//! The solvers that a model is held against, and what of them is chosen on other prompts.

use looped_core::{Prompts, Result, Rng, Task};
use looped_eval::EvalPlan;
use rayon::prelude::*;

use crate::solvers::{
    Chebyshev, ConjugateGradients, GradientDescent, HeavyBall, NewtonSchulz, Preconditioned, Problem, Solver,
    Step, predict,
};

/// Prompts that the preconditioner and the single step are chosen on: others than those that are looked at.
const CHOSEN_ON: usize = 64;

/// Candidates for the single step.
const CANDIDATES: usize = 60;

/// The solvers of this crate, for prompts of a task: the preconditioner and the single step are chosen on some of them.
///
/// The size of the single step comes with them.
#[must_use]
pub fn default_solvers(prompts: &Prompts, dims: usize, loops: usize) -> (Vec<Box<dyn Solver>>, f64) {
    let single = single_step(prompts, dims, loops);
    let xs: Vec<f32> = prompts.xs.chunks_exact(prompts.n_dims).flat_map(|x| &x[..dims]).copied().collect();
    let solvers: Vec<Box<dyn Solver>> = vec![
        Box::new(GradientDescent { step: Step::Optimal }),
        Box::new(GradientDescent { step: Step::InverseLargest }),
        Box::new(GradientDescent { step: Step::Single(single) }),
        Box::new(Preconditioned::by(&xs, dims)),
        Box::new(HeavyBall {}),
        Box::new(Chebyshev {}),
        Box::new(ConjugateGradients {}),
        Box::new(NewtonSchulz {}),
    ];
    (solvers, single)
}

/// Prompts of the task that aren't looked at: drawn from another seed, or, where the task has only so many, its first ones.
pub(super) fn other_prompts(task: &dyn Task, eval: &EvalPlan) -> Result<Prompts> {
    let seed = Rng::stream(eval.seed, "matching", 0).bits();
    let plan = EvalPlan { prompts: CHOSEN_ON, seed, ..eval.clone() }.within(task)?;
    plan.draw(task, 0, plan.prompts)
}

/// Of a grid of sizes, the one whose predictions have the least squared error after so many steps.
pub(super) fn single_step(prompts: &Prompts, dims: usize, steps: usize) -> f64 {
    let problems: Vec<(Vec<f32>, f64, Problem)> = (0..prompts.prompts)
        .into_par_iter()
        .flat_map_iter(|i| {
            let (xs, ys) = in_use(prompts, i, dims);
            let of = move |k: usize| {
                (
                    xs[k * dims..][..dims].to_vec(),
                    f64::from(ys[k]),
                    Problem::new(&xs[..k * dims], &ys[..k], dims),
                )
            };
            (1..prompts.points).map(of).collect::<Vec<_>>()
        })
        .collect();
    let most = problems
        .iter()
        .filter_map(|(_, _, problem)| problem.bounds())
        .map(|(_, most)| most)
        .fold(0.0, f64::max);
    let size =
        |n: usize| 4.0 / most.max(f64::MIN_POSITIVE) * 1e-3f64.powf(n as f64 / (CANDIDATES - 1) as f64);
    let error = |n: usize| -> f64 {
        let solver = GradientDescent { step: Step::Single(size(n)) };
        let square = |(x, y, problem): &(Vec<f32>, f64, Problem)| {
            let w = solver.iterates(problem, steps).pop().unwrap_or_default();
            (predict(&w, x) - y).powi(2)
        };
        problems.iter().map(square).sum()
    };
    let errors: Vec<f64> = (0..CANDIDATES).into_par_iter().map(error).collect();
    let least =
        (0..CANDIDATES).filter(|&n| errors[n].is_finite()).min_by(|&a, &b| errors[a].total_cmp(&errors[b]));
    size(least.unwrap_or(CANDIDATES - 1))
}

/// The coordinates in use of a prompt's points, and its ys.
pub(super) fn in_use(prompts: &Prompts, i: usize, dims: usize) -> (Vec<f32>, Vec<f32>) {
    let (xs, ys) = prompts.get(i);
    (xs.chunks_exact(prompts.n_dims).flat_map(|x| &x[..dims]).copied().collect(), ys.to_vec())
}
