//! What a step asks for, checked.

use looped_core::{Error, LoopPlan, ModelDims, Objective, Prompts, Result};
use looped_graph::lower::Chunk;
use looped_ops::Precision;

/// What a training step needs to know besides its prompts.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Loops, and how many of the last carry gradient.
    pub plan: LoopPlan,
    /// How many of the last loops enter the loss; more than the window means the window.
    pub loss_loops: usize,
    /// What is minimised.
    pub objective: Objective,
    /// The inputs' type in the blocks' products.
    pub precision: Precision,
}

/// Refuses prompts that don't fit the model.
///
/// # Errors
/// If they don't.
pub fn check(prompts: &Prompts, dims: ModelDims) -> Result<()> {
    let refuse = |what: String| Err(Error::Data(what));
    if prompts.prompts == 0 || prompts.points == 0 {
        return refuse(format!("there are {} prompts of {} points", prompts.prompts, prompts.points));
    }
    if prompts.n_dims != dims.n_dims {
        return refuse(format!("x has {} coordinates, the model takes {}", prompts.n_dims, dims.n_dims));
    }
    if prompts.points > dims.n_positions {
        let (points, room) = (prompts.points, dims.n_positions);
        return refuse(format!("a prompt has {points} points, the model has positions for {room}"));
    }
    let rows = prompts.prompts * prompts.points;
    let (xs, ys) = (prompts.xs.len(), prompts.ys.len());
    if ys != rows || xs != rows * prompts.n_dims {
        let (count, points) = (prompts.prompts, prompts.points);
        return refuse(format!("{xs} values of x and {ys} of y aren't {count} prompts of {points} points"));
    }
    Ok(())
}

/// The loops of a training step.
#[derive(Clone, Copy, Debug)]
pub struct Loops {
    /// Loops without gradient.
    pub free: usize,
    /// Loops with gradient, after them.
    pub window: usize,
    /// The last of those, that enter the loss.
    pub counted: usize,
    /// What is minimised.
    pub objective: Objective,
    /// What each prediction's loss counts: one over their number.
    pub weight: f64,
}

impl Loops {
    /// The loops of a step on some prompts.
    ///
    /// # Errors
    /// If no loop enters the loss.
    pub fn new(step: Step, prompts: &Prompts) -> Result<Self> {
        let window = step.plan.window.min(step.plan.loops);
        let counted = step.loss_loops.min(window);
        if counted == 0 {
            let LoopPlan { loops, window } = step.plan;
            return Err(Error::Data(format!(
                "of {loops} loops, {window} carry gradient and {} enter the loss: there is no loss",
                step.loss_loops
            )));
        }
        let targets = prompts.targets();
        if targets == 0 {
            return Err(Error::Data(
                "nothing is to be predicted in these prompts: every y is NaN".to_owned(),
            ));
        }
        let weight = 1.0 / (counted * targets) as f64;
        Ok(Self { free: step.plan.loops - window, window, counted, objective: step.objective, weight })
    }

    /// What the predictions at a chunk's read rows add to the loss, if they stand for `times` loops; `slopes` gets the gradient with respect
    /// to each.
    ///
    /// # Shapes
    /// `predictions` and `slopes` (prompts of the chunk, reads, numbers), for the prompts from `first` on.
    pub(crate) fn loss(
        self,
        prompts: &Prompts,
        first: usize,
        chunk: &Chunk,
        times: usize,
        predictions: &[f32],
        slopes: &mut [f32],
    ) -> f64 {
        let weight = self.weight * times as f64;
        let mut loss = 0.0;
        let rows = (chunk.sequences * chunk.reads.len()).max(1);
        let width = (predictions.len() / rows).max(1);
        let pairs = predictions.chunks_exact(width).zip(slopes.chunks_exact_mut(width));
        for (i, (prediction, slopes)) in pairs.enumerate() {
            let (sequence, read) = (i / chunk.reads.len(), chunk.reads[i % chunk.reads.len()]);
            let (_, ys) = prompts.get(first + sequence);
            let y = ys[prompts.layout.point(chunk.first + read)];
            loss += f64::from(self.objective.value_and_slopes(prediction, y, slopes));
            slopes.iter_mut().for_each(|slope| *slope = (f64::from(*slope) * weight) as f32);
        }
        loss * weight
    }
}
