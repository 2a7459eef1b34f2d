//! The best loop against the last.

use looped_core::{Objective, Predictor, Result, Task, Watch};
use looped_eval::{Curve, EvalPlan, Scores, score_prompts};
use serde::{Deserialize, Serialize};

/// Scores at the last query after the best loop, the trained ones and the last.
///
/// The best loop is chosen on the first half of the prompts, and the scores are of the second half: the best of a curve always looks good on the prompts
/// that it was chosen on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overthinking {
    /// How many prompts the scores are of.
    pub prompts: usize,
    /// `squared error` (less is better) or `accuracy` (more is better).
    pub score: String,
    /// The best loop.
    pub best_loop: usize,
    /// Three entries: after the best loop, after as many as the model was trained with, after the last.
    pub scores: Curve,
    /// The score after the last loop divided by that after the best one, with its 90 % CI over prompts.
    pub ratio: [Option<f64>; 3],
    /// The mean score of the same prompts after each loop.
    pub per_loop: Curve,
}

pub(super) fn of(
    model: &impl Predictor,
    task: &dyn Task,
    eval: &EvalPlan,
    trained: usize,
    watch: &dyn Watch,
) -> Result<Overthinking> {
    /// Whose progress is nobody's: it takes a moment beside the rest.
    struct Silent<'a>(&'a dyn Watch);
    impl Watch for Silent<'_> {
        fn stopped(&self) -> bool {
            self.0.stopped()
        }
    }
    let (evaluation, scores) = score_prompts(model, task, eval, &[], &Silent(watch))?;
    let per_loop = scores.per_loop;
    let half = per_loop.prompts() / 2;
    let first: Vec<usize> = (0..half).collect();
    let second: Vec<usize> = (half..per_loop.prompts()).collect();
    let sign = if task.objective() == Objective::SquaredError { -1.0 } else { 1.0 };
    let means = per_loop.at(&first).mean();
    let better =
        |best: usize, index: usize| if sign * means[index] > sign * means[best] { index } else { best };
    let best = (1..eval.loops).fold(0, better);
    let held_out = per_loop.at(&second);
    let places = [best, trained.clamp(1, eval.loops) - 1, eval.loops - 1];
    let mut three = Scores::new(3);
    held_out.rows().for_each(|row| three.push(places.map(|place| row[place])));
    let ratio = |means: &[f64]| means[2] / means[0];
    let ratios = crate::best::sorted(
        three.resampled_means(eval.resamples, eval.seed).iter().map(|means| ratio(means)),
    );
    let ends = [ratio(&three.mean()), crate::best::at(&ratios, 0.05), crate::best::at(&ratios, 0.95)];
    Ok(Overthinking {
        prompts: held_out.prompts(),
        score: evaluation.score_label(),
        best_loop: best + 1,
        scores: three.curve(eval.resamples, eval.seed),
        ratio: ends.map(|value| Some(value).filter(|value| value.is_finite())),
        per_loop: held_out.curve(eval.resamples, eval.seed),
    })
}
