//! Models as they are asked, whichever engine runs them.

use candle_core::Tensor;

use crate::{Error, Prompts, Result};

/// How often to loop, and how many of the last loops carry the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopPlan {
    /// Loops in all.
    pub loops: usize,
    /// The last loops, that carry gradient and give predictions; more than `loops` means all.
    pub window: usize,
}

impl LoopPlan {
    /// How many loops carry gradient, and how many of those enter the loss if that is the mean of the last `loss_loops`.
    ///
    /// # Errors
    /// If no loop does.
    pub fn counted(self, loss_loops: usize) -> Result<[usize; 2]> {
        let Self { loops, window } = self;
        let window = window.min(loops);
        let counted = loss_loops.min(window);
        if counted == 0 {
            return Err(Error::Data(format!(
                "of {loops} loops, {window} carry gradient and {loss_loops} enter the loss: there is no loss"
            )));
        }
        Ok([window, counted])
    }
}

/// Predictions of every y after each loop: (loops, prompts, points, width), row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// The values.
    pub values: Vec<f32>,
    /// Numbers of one prediction: 1, or as many as there are classes.
    pub width: usize,
    /// How many loops.
    pub loops: usize,
    /// How many prompts.
    pub prompts: usize,
    /// Points in each prompt.
    pub points: usize,
}

impl Predictions {
    /// The predictions after loop `index` (from 0): (prompts, points, width).
    #[must_use]
    pub fn after(&self, index: usize) -> &[f32] {
        let size = self.prompts * self.points * self.width;
        &self.values[index * size..(index + 1) * size]
    }

    /// The predictions without their last numbers, and those.
    #[must_use]
    pub fn without_last(self) -> (Self, Vec<f32>) {
        let width = self.width - 1;
        let each = self.values.chunks_exact(self.width);
        let last = each.clone().map(|numbers| numbers[width]).collect();
        let values = each.flat_map(|numbers| &numbers[..width]).copied().collect();
        (Self { values, width, ..self }, last)
    }
}

/// A model that can be scored, whichever engine runs it.
pub trait Predictor {
    /// Predicts every y of `prompts` after each of `loops` loops, without gradient.
    ///
    /// # Errors
    /// If the prompts don't fit the model.
    fn predict(&self, prompts: &Prompts, loops: usize) -> Result<Predictions>;

    /// The logit of stopping there that the model's exit gate gives each prediction: (loops, prompts, points). `None` if the model has no gate.
    ///
    /// # Errors
    /// If the prompts don't fit the model.
    fn gates(&self, prompts: &Prompts, loops: usize) -> Result<Option<Vec<f32>>> {
        let _ = (prompts, loops);
        Ok(None)
    }
}

/// A model whose state can be looked at after each loop, whichever engine runs it.
pub trait Stateful: Sync {
    /// Width of the state.
    fn width(&self) -> usize;

    /// So many loops over `prompts`, without gradient, to be run one at a time. The number counts for parts that are stretched over all loops; more
    /// can be run.
    ///
    /// # Errors
    /// If the prompts don't fit the model.
    fn looping(&self, prompts: &Prompts, loops: usize) -> Result<Looping<'_>>;
}

/// What an engine does between two loops over a batch.
pub trait Loops: Send {
    /// Runs one loop and gives the state after it.
    ///
    /// # Errors
    /// If a tensor operation fails.
    fn next_state(&mut self) -> Result<Tensor>;

    /// Goes on from `state` as if it were there after `done` loops.
    ///
    /// # Errors
    /// If the state hasn't the shape of the batch's own, or the model carries other values beside it from loop to loop.
    fn go_on_from(&mut self, state: &Tensor, done: usize) -> Result<()>;
}

/// A batch between two loops of a model.
pub struct Looping<'a>(Box<dyn Loops + 'a>);

impl<'a> Looping<'a> {
    /// The loops of an engine.
    #[must_use]
    pub fn new(loops: impl Loops + 'a) -> Self {
        Self(Box::new(loops))
    }

    /// Runs one loop; the state after it is (batch, 2 points, width). Token 2i is x_i, token 2i + 1 is y_i.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn next_state(&mut self) -> Result<Tensor> {
        self.0.next_state()
    }

    /// Goes on from `state`, of the shape and type that [`next_state`](Self::next_state) gives, as if it were there after `done` loops: the next
    /// loop is number `done` + 1 to parts that count them.
    ///
    /// # Errors
    /// If the state hasn't that shape, or the model carries other values beside it from loop to loop.
    pub fn go_on_from(&mut self, state: &Tensor, done: usize) -> Result<()> {
        self.0.go_on_from(state, done)
    }
}
