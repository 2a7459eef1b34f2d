//! The prompts that a model is asked at, and what it answers.

use looped_core::{Error, Predictions, Predictor, Prompts, Result, Task, Watch};
use looped_eval::EvalPlan;

use crate::queries::Queries;

/// Queries for each coordinate, from which the induced weights are found.
const QUERIES: usize = 2;

/// Prompts that the model predicts at a time.
const AT_ONCE: usize = 64;

/// Prompts with queries behind their examples.
pub(super) type Asked = (Prompts, Queries);

/// The prompts, and the same with queries behind their examples; or why there are none.
pub(super) fn draw(
    task: &dyn Task,
    eval: &EvalPlan,
    examples: usize,
) -> Result<(Prompts, Option<Asked>, Option<String>)> {
    let longer = EvalPlan { points: examples + QUERIES * eval.dims.max(2), ..eval.clone() };
    let prompts = eval.draw(task, 0, eval.prompts)?;
    match longer.draw(task, 0, eval.prompts) {
        Ok(drawn) if begins_alike(&drawn, &prompts, examples) => {
            let queries = Queries::of(&drawn, examples, eval.dims);
            Ok((prompts, Some((drawn, queries)), None))
        }
        Ok(_) => Ok((prompts, None, Some("longer prompts of this task begin otherwise".into()))),
        Err(Error::Data(why)) => Ok((prompts, None, Some(why))),
        Err(error) => Err(error),
    }
}

fn begins_alike(longer: &Prompts, prompts: &Prompts, examples: usize) -> bool {
    (0..prompts.prompts).all(|i| {
        let ((long_xs, long_ys), (xs, ys)) = (longer.get(i), prompts.get(i));
        let width = examples * prompts.n_dims;
        long_xs[..width] == xs[..width] && long_ys[..examples] == ys[..examples]
    })
}

pub(super) fn predict_all(
    model: &dyn Predictor,
    prompts: &Prompts,
    loops: usize,
    watch: &dyn Watch,
) -> Result<Vec<Vec<f32>>> {
    let mut found = vec![Vec::with_capacity(prompts.ys.len()); loops];
    for first in (0..prompts.prompts).step_by(AT_ONCE) {
        watch.check()?;
        let some = prompts.slice(first..(first + AT_ONCE).min(prompts.prompts));
        let predictions: Predictions = model.predict(&some, loops)?;
        found.iter_mut().enumerate().for_each(|(index, found)| found.extend(predictions.after(index)));
    }
    Ok(found)
}
