//! What a step asks for, checked.

use looped_core::{
    Error, Joint, LoopPlan, ModelDims, Objective, Prompts, Result, Share, StepLoops, sum_of_joint,
};
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

/// What a prediction counts in a training step.
#[derive(Clone, Copy, Debug)]
pub struct LossOf {
    /// What is minimised.
    pub objective: Objective,
    /// How many predictions have a target.
    pub targets: usize,
}

impl LossOf {
    /// Of a step on some prompts.
    ///
    /// # Errors
    /// If nothing is to be predicted in them.
    pub fn new(objective: Objective, prompts: &Prompts) -> Result<Self> {
        let targets = prompts.targets();
        if targets == 0 {
            return Err(Error::Data(
                "nothing is to be predicted in these prompts: every y is NaN".to_owned(),
            ));
        }
        Ok(Self { objective, targets })
    }

    /// What each prediction's loss counts after a loop with this share.
    #[must_use]
    pub fn weight(self, share: Share) -> f64 {
        share.of / (share.among * self.targets) as f64
    }

    /// What the predictions at a chunk's read rows add to the loss, each counting `weight`; `slopes` gets the gradient with respect to each.
    ///
    /// # Shapes
    /// `predictions` and `slopes` (prompts of the chunk, reads, numbers), for the prompts from `first` on.
    pub fn loss(
        self,
        prompts: &Prompts,
        first: usize,
        chunk: &Chunk,
        weight: f64,
        predictions: &[f32],
        slopes: &mut [f32],
    ) -> f64 {
        let mut loss = 0.0;
        let width = width(predictions, chunk);
        let pairs = predictions.chunks_exact(width).zip(slopes.chunks_exact_mut(width));
        for (i, (prediction, slopes)) in pairs.enumerate() {
            let y = target(prompts, first, chunk, i);
            loss += f64::from(self.objective.value_and_slopes(prediction, y, slopes));
            slopes.iter_mut().for_each(|slope| *slope = (f64::from(*slope) * weight) as f32);
        }
        loss * weight
    }

    /// The same of predictions after several loops together: the loss, and the slopes of each loop's.
    pub fn joint_loss(
        self,
        prompts: &Prompts,
        first: usize,
        chunk: &Chunk,
        joint: &dyn Joint,
        predictions: &[Vec<f32>],
    ) -> (f64, Vec<Vec<f32>>) {
        let ys = (0..chunk.read_rows()).map(|row| target(prompts, first, chunk, row));
        sum_of_joint(joint, self.objective, predictions, ys, self.weight(Share::WHOLE))
    }
}

/// Numbers of a prediction.
fn width(predictions: &[f32], chunk: &Chunk) -> usize {
    let rows = (chunk.sequences * chunk.reads.len()).max(1);
    (predictions.len() / rows).max(1)
}

/// What is to be predicted at a chunk's read row, if its prompts are those from `first` on.
fn target(prompts: &Prompts, first: usize, chunk: &Chunk, row: usize) -> f32 {
    let (sequence, read) = (row / chunk.reads.len(), chunk.reads[row % chunk.reads.len()]);
    let (_, ys) = prompts.get(first + sequence);
    ys[prompts.layout.point(chunk.first + read)]
}

/// The loops of a training step that is loops without gradient, then a window with it.
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
        let [window, counted] = step.plan.counted(step.loss_loops)?;
        let of = LossOf::new(step.objective, prompts)?;
        let weight = of.weight(Share { of: 1.0, among: counted });
        Ok(Self { free: step.plan.loops - window, window, counted, objective: step.objective, weight })
    }
}

impl Step {
    /// The same as a policy.
    ///
    /// # Errors
    /// If no loop enters the loss.
    pub(crate) fn policy(self) -> Result<StepLoops> {
        let [window, counted] = self.plan.counted(self.loss_loops)?;
        Ok(StepLoops::last(LoopPlan { loops: self.plan.loops, window }, counted))
    }
}
