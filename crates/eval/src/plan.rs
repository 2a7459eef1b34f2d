//! What to score a model on.

use looped_core::{Error, Noise, Prompts, Request, Result, Rng, Split, Task};

/// Prompts are drawn this many at a time, each lot from a generator of its own.
pub(crate) const LOT: usize = 64;

/// What to score a model on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalPlan {
    /// How many prompts.
    pub prompts: usize,
    /// Points in each; the last one is predicted from `points - 1` examples.
    pub points: usize,
    /// Coordinates of x in use; the others are 0, and the baselines don't see them.
    pub dims: usize,
    /// Width of x.
    pub n_dims: usize,
    /// Loops of the model.
    pub loops: usize,
    /// What the prompts and the resamples are drawn from.
    pub seed: u64,
    /// How many resamples the intervals are of.
    pub resamples: usize,
    /// How many prompts the model predicts at a time: bounds memory, and changes no result.
    pub chunk: usize,
}

impl EvalPlan {
    /// The published sizes: 1280 prompts, 1000 resamples; 64 prompts at a time.
    #[must_use]
    pub const fn new(points: usize, dims: usize, n_dims: usize, loops: usize, seed: u64) -> Self {
        Self { prompts: 1280, points, dims, n_dims, loops, seed, resamples: 1000, chunk: LOT }
    }

    /// Refuses sizes that can't work.
    ///
    /// # Errors
    /// If a count is 0, or `dims` more than `n_dims`.
    pub fn check(&self) -> Result<()> {
        let counts = [
            ("prompts", self.prompts),
            ("points", self.points),
            ("dims", self.dims),
            ("loops", self.loops),
            ("resamples", self.resamples),
            ("chunk", self.chunk),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::Data(format!("evaluation: {name} is 0, must be at least 1")));
        }
        if self.dims > self.n_dims {
            return Err(Error::Data(format!(
                "evaluation: dims is {}, must be at most n_dims, {}",
                self.dims, self.n_dims
            )));
        }
        Ok(())
    }

    /// The plan with no more prompts than the task has: none is scored twice.
    ///
    /// # Errors
    /// If the task reads data that can't be read.
    pub fn within(&self, task: &dyn Task) -> Result<Self> {
        let most = task.count(Split::Evaluation)?.unwrap_or(usize::MAX);
        Ok(Self { prompts: self.prompts.min(most), ..self.clone() })
    }

    /// Draws the prompts from `first` on, `count` or fewer at the end; `first` is a multiple of 64.
    ///
    /// What is drawn depends on the seed and the position alone.
    ///
    /// # Errors
    /// If the task reads data that can't serve the plan.
    pub fn draw(&self, task: &dyn Task, first: usize, count: usize) -> Result<Prompts> {
        let end = (first + count).min(self.prompts);
        let noise = Noise::new(self.seed, "evaluation first state", first as u64);
        let mut drawn =
            Prompts::pairs(Vec::new(), Vec::new(), [0, self.points, self.n_dims]).with_noise(noise);
        for start in (first..end).step_by(LOT) {
            let request = Request {
                prompts: LOT.min(end - start),
                points: self.points,
                dims: self.dims,
                n_dims: self.n_dims,
                first: start as u64,
                split: Split::Evaluation,
            };
            let lot =
                task.sample(request, &mut Rng::stream(self.seed, "evaluation", (start / LOT) as u64))?;
            (drawn.n_dims, drawn.layout) = (lot.n_dims, lot.layout);
            drawn.xs.extend(lot.xs);
            drawn.ys.extend(lot.ys);
            drawn.prompts += lot.prompts;
        }
        Ok(drawn)
    }
}
