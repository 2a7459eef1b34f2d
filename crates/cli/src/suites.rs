//! `looped eval --suite ood`: scores on prompts that a model was not trained on.

use looped_core::{Baseline, Task, Watch};
use looped_eval::{EvalPlan, Shift, SuiteEvaluation, evaluate_suite};
use looped_tasks::{Distribution, Shifted};
use looped_train::Trainer;

use crate::failure::{Failure, Outcome};

/// Scores a model on every shift of its task that makes sense.
pub(crate) fn out_of_distribution(
    trainer: &Trainer,
    plan: &EvalPlan,
    baselines: &[Box<dyn Baseline>],
    watch: &dyn Watch,
) -> Outcome<SuiteEvaluation> {
    let task = trainer.experiment().task.as_ref();
    let (mut shifts, mut left_out) = (Vec::new(), Vec::new());
    for distribution in Distribution::suite() {
        match shift(task, distribution.clone(), plan.dims) {
            Some(shift) => shifts.push(shift),
            None => left_out.push(distribution.name()),
        }
    }
    if shifts.is_empty() {
        return Err(Failure::usage(format!(
            "--suite ood needs a function class, whose inputs can be shifted; the task `{}` gives its prompts as they are",
            task.typetag_name()
        )));
    }
    let found = evaluate_suite("ood", trainer.model(), task, &shifts, plan, baselines, watch)?;
    Ok(SuiteEvaluation { left_out, ..found })
}

fn shift(task: &dyn Task, distribution: Distribution, dims: usize) -> Option<Shift> {
    let (name, query_only) = (distribution.name(), distribution.shifts_query());
    let most_points = distribution.most_points(dims);
    let task = Box::new(Shifted::of(task, distribution)?);
    Some(Shift { name, task, query_only, most_points })
}
