//! Whether the end depends on the start.

use looped_core::{Result, Rng, Stateful, Stretch, Watch};
use looped_eval::{Curve, EvalPlan, Scores};
use serde::{Deserialize, Serialize};

use super::walk::Run;
use crate::eigen::cosine;

/// Asymptotic alignment (Anil et al., arXiv 2211.09961): the cosine of a prompt's state after all loops with that from another start, over all tokens.
///
/// Each curve has one entry: mean and 90 % CI over the prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alignment {
    /// From another prompt's last state.
    pub from_another: Curve,
    /// From N(0, s^2), s being the root mean square of all last states.
    pub from_noise: Curve,
    /// The control: with another prompt's last state. States have much in common whatever the prompt, and an alignment says something as far as it lies
    /// above this.
    pub of_others: Curve,
}

/// Runs the loops again from other starts. `last` is (prompts, tokens, width).
pub(super) fn of<M: Stateful>(
    run: &Run<'_, M>,
    last: &[f32],
    eval: &EvalPlan,
    watch: &Stretch<'_>,
) -> Result<Alignment> {
    let each = last.len() / run.prompts.prompts;
    let mut others = last.to_vec();
    others.rotate_left(each);
    let scale = (last.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / last.len() as f64).sqrt();
    let noise = Rng::stream(eval.seed, "alignment", 0).normals(last.len());
    let noise: Vec<f32> = noise.into_iter().map(|v| (scale * f64::from(v)) as f32).collect();
    let curve = |ends: &[f32]| {
        let long = |state: &[f32]| state.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        let mut scores = Scores::new(1);
        let pairs = last.chunks_exact(each).zip(ends.chunks_exact(each));
        pairs.for_each(|(own, other)| scores.push([cosine(&long(own), &long(other))]));
        scores.curve(eval.resamples, eval.seed)
    };
    let later = Stretch { whole: watch.whole, before: watch.before + run.loops, total: watch.total };
    let from_another = curve(&run.end_from(&others, watch as &dyn Watch)?);
    let from_noise = curve(&run.end_from(&noise, &later)?);
    Ok(Alignment { from_another, from_noise, of_others: curve(&others) })
}
