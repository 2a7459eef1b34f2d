//! Function classes: where prompts come from.

use std::fmt::Debug;

use candle_core::{Device, Tensor};

use looped_graph::Graph;

use crate::{Error, ModelDims, Noise, Objective, Problems, Result, Rng};

/// Which prompts are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// How many prompts.
    pub prompts: usize,
    /// Points in each.
    pub points: usize,
    /// Coordinates of x in use: y depends on no other, and the others are 0 unless the task says otherwise.
    pub dims: usize,
    /// Width of x.
    pub n_dims: usize,
    /// How many prompts of this split were given before: a fixed set continues from there.
    pub first: u64,
    /// What the prompts are for.
    pub split: Split,
}

/// What prompts are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// To be trained on.
    Train,
    /// To score a model: other prompts, unless [`Task::scores_on_training_prompts`].
    Evaluation,
}

/// How points stand in a prompt as tokens, and where predictions are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenLayout {
    /// x_1, y_1, x_2, ...: two tokens a point. The y of a point is predicted at its x.
    #[default]
    Pairs,
    /// One token a point: the number of an entry of a vocabulary. What is to be predicted at it isn't in the prompt.
    Ids,
}

impl TokenLayout {
    /// Tokens of so many points.
    #[must_use]
    pub const fn tokens(self, points: usize) -> usize {
        match self {
            Self::Pairs => 2 * points,
            Self::Ids => points,
        }
    }

    /// The token at which a point is predicted.
    #[must_use]
    pub const fn read(self, point: usize) -> usize {
        match self {
            Self::Pairs => 2 * point,
            Self::Ids => point,
        }
    }

    /// The tokens at which so many points are predicted.
    #[must_use]
    pub fn reads(self, points: usize) -> Vec<usize> {
        (0..points).map(|point| self.read(point)).collect()
    }

    /// The point that a token belongs to.
    #[must_use]
    pub const fn point(self, token: usize) -> usize {
        match self {
            Self::Pairs => token / 2,
            Self::Ids => token,
        }
    }
}

/// A finite set of tokens, and of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alphabet {
    /// How many different tokens there are.
    pub tokens: usize,
    /// How many different answers there are.
    pub classes: usize,
}

/// Prompts on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompts {
    /// (prompts, points, n_dims), row-major. Of [`TokenLayout::Ids`] one number each, from 0 on.
    pub xs: Vec<f32>,
    /// (prompts, points), row-major. NaN where nothing is to be predicted; the number of a class, from 0 on, where classes are.
    pub ys: Vec<f32>,
    /// The ys that stand in the prompt, (prompts, points), where they aren't those to be predicted.
    pub shown: Option<Vec<f32>>,
    /// How many prompts.
    pub prompts: usize,
    /// Points in each.
    pub points: usize,
    /// Width of x.
    pub n_dims: usize,
    /// How points become tokens.
    pub layout: TokenLayout,
    /// What a model's first state is drawn from, where it is noise.
    pub noise: Noise,
}

impl Prompts {
    /// Prompts of points, of the given sizes: (prompts, points, width of x).
    #[must_use]
    pub fn pairs(xs: Vec<f32>, ys: Vec<f32>, [prompts, points, n_dims]: [usize; 3]) -> Self {
        Self {
            xs,
            ys,
            shown: None,
            prompts,
            points,
            n_dims,
            layout: TokenLayout::Pairs,
            noise: Noise::default(),
        }
    }

    /// The same prompts, with another source of noise.
    #[must_use]
    pub fn with_noise(self, noise: Noise) -> Self {
        Self { noise, ..self }
    }

    /// The same prompts, of which nothing but the last so many points is to be predicted.
    #[must_use]
    pub fn ask_last(mut self, points: usize) -> Self {
        let others = self.points.saturating_sub(points);
        if others > 0 {
            let shown = self.ys.clone();
            self.ys.chunks_exact_mut(self.points).for_each(|ys| ys[..others].fill(f32::NAN));
            self.shown.get_or_insert(shown);
        }
        self
    }

    /// The points of prompt `i`: xs (points, n_dims) and ys (points).
    #[must_use]
    pub fn get(&self, i: usize) -> (&[f32], &[f32]) {
        let (xs, ys) = (self.points * self.n_dims, self.points);
        (&self.xs[i * xs..(i + 1) * xs], &self.ys[i * ys..(i + 1) * ys])
    }

    /// The prompts `range`, copied.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let (xs, ys) = (self.points * self.n_dims, self.points);
        Self {
            xs: self.xs[range.start * xs..range.end * xs].to_vec(),
            ys: self.ys[range.start * ys..range.end * ys].to_vec(),
            shown: self.shown.as_ref().map(|shown| shown[range.start * ys..range.end * ys].to_vec()),
            prompts: range.len(),
            noise: self.noise.after(range.start),
            ..*self
        }
    }

    /// Some of the prompts, copied, in this order. Their noise is that of as many prompts from the first on.
    ///
    /// # Panics
    /// If there is no such prompt.
    #[must_use]
    pub fn select(&self, which: &[usize]) -> Self {
        let (xs, ys) = (self.points * self.n_dims, self.points);
        let own = |values: &[f32], each: usize| -> Vec<f32> {
            which.iter().flat_map(|prompt| &values[prompt * each..(prompt + 1) * each]).copied().collect()
        };
        Self {
            xs: own(&self.xs, xs),
            ys: own(&self.ys, ys),
            shown: self.shown.as_ref().map(|shown| own(shown, ys)),
            prompts: which.len(),
            ..*self
        }
    }

    /// How many values there are to be predicted.
    #[must_use]
    pub fn targets(&self) -> usize {
        self.ys.iter().filter(|y| !y.is_nan()).count()
    }

    /// Writes the row of a prompt's token: of [`TokenLayout::Pairs`] x, or y followed by zeros; of [`TokenLayout::Ids`] the token's number.
    ///
    /// # Panics
    /// If there is no such prompt or token, or the row isn't as wide as x.
    pub fn write_token(&self, prompt: usize, token: usize, row: &mut [f32]) {
        let at = prompt * self.points + self.layout.point(token);
        if self.layout == TokenLayout::Pairs && !token.is_multiple_of(2) {
            row.fill(0.0);
            row[0] = self.shown.as_ref().unwrap_or(&self.ys)[at];
        } else {
            row.copy_from_slice(&self.xs[at * self.n_dims..(at + 1) * self.n_dims]);
        }
    }

    /// Whether every token is the number of an entry of the tables that a graph looks them up in.
    ///
    /// # Errors
    /// If the graph has such tables, and prompts aren't tokens, or there is one that isn't: which, and how many entries there are.
    pub fn fit_vocabularies(&self, graph: &Graph) -> Result<()> {
        let Some(entries) = graph.vocabularies().min() else { return Ok(()) };
        if self.layout != TokenLayout::Ids {
            return Err(Error::Data(
                "the model takes tokens of a vocabulary, and prompts are points".to_owned(),
            ));
        }
        let is_entry = |x: &f32| x.fract() == 0.0 && (0.0..entries as f32).contains(x);
        let Some(wrong) = self.xs.iter().position(|x| !is_entry(x)) else { return Ok(()) };
        let (prompt, token) = (wrong / self.points, wrong % self.points);
        Err(Error::Data(format!(
            "token {token} of prompt {prompt} is {}, and the vocabulary has the entries 0 to {}",
            self.xs[wrong],
            entries - 1
        )))
    }

    /// Writes the row of a prompt's token as a graph takes it: that of [`Prompts::write_token`], and then `noise` numbers from N(0, 1).
    ///
    /// # Panics
    /// As [`Prompts::write_token`], or if the row has fewer than `noise` numbers.
    pub fn write_row(&self, prompt: usize, token: usize, noise: usize, row: &mut [f32]) {
        let (own, drawn) = row.split_at_mut(row.len() - noise);
        self.write_token(prompt, token, own);
        if noise > 0 {
            self.noise.fill(prompt, token, drawn);
        }
    }

    /// The rows of all tokens: (prompts, tokens, width), of which the last `noise` numbers are drawn. See [`Prompts::write_row`].
    ///
    /// # Errors
    /// If the device refuses the copy.
    pub fn tokens(&self, width: usize, noise: usize, device: &Device) -> Result<Tensor> {
        let each = self.layout.tokens(self.points);
        let mut rows = vec![0.0; self.prompts * each * width];
        for (i, row) in rows.chunks_exact_mut(width.max(1)).enumerate() {
            self.write_row(i / each, i % each, noise, row);
        }
        Ok(Tensor::from_vec(rows, (self.prompts, each, width), device)?)
    }
}

/// A source of prompts: a function class with its inputs, or a fixed set.
#[typetag::serde(tag = "type")]
pub trait Task: Debug + Send + Sync {
    /// Reports settings that can't work; keys are relative to the task's table. Opens no file: a finished run is still read
    /// when its data has moved.
    fn validate(&self, dims: &ModelDims, problems: &mut Problems) {
        let _ = (dims, problems);
    }

    /// Reports why a request can't be served; keys are relative to the task's table. Opens what the task reads.
    fn check(&self, dims: &ModelDims, request: Request, problems: &mut Problems) {
        let _ = (dims, request, problems);
    }

    /// How many different prompts of a split there are; `None` where each is drawn afresh.
    ///
    /// # Errors
    /// If the task reads data that can't be read.
    fn count(&self, split: Split) -> Result<Option<usize>> {
        let _ = split;
        Ok(None)
    }

    /// Whether the prompts that a model is scored on are those that it is trained on.
    fn scores_on_training_prompts(&self) -> bool {
        false
    }

    /// The task whose prompts a model is scored on, where that isn't this one. Models that were trained on several tasks
    /// are compared if these are one.
    fn scored_on(&self) -> Option<&dyn Task> {
        None
    }

    /// What tells the data that a model is trained on from other data, where the task reads any. Checkpoints keep it, so
    /// that a training is never continued on exchanged data unawares.
    ///
    /// # Errors
    /// If the data can't be read.
    fn fingerprint(&self) -> Result<Option<String>> {
        Ok(None)
    }

    /// Draws prompts; all randomness comes from `rng`.
    ///
    /// # Errors
    /// If the task reads data that can't serve the request.
    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts>;

    /// Whether what is to be predicted at a token stands in the prompt after it, where only a causal block doesn't see it.
    fn targets_in_prompt(&self) -> bool {
        true
    }

    /// The tokens and answers of a task whose prompts are [`TokenLayout::Ids`]; `None` of one of points.
    fn alphabet(&self) -> Option<Alphabet> {
        None
    }

    /// What is learnt: squared error, unless the task says otherwise.
    fn objective(&self) -> Objective {
        Objective::SquaredError
    }

    /// What squared errors are divided by in reports: `dims`, unless the task says otherwise.
    fn normaliser(&self, dims: usize) -> f64 {
        dims as f64
    }
}

/// What a task's scores are divided by in reports: its normaliser where they are squared errors, else 1.
#[must_use]
pub fn score_scale(task: &dyn Task, dims: usize) -> f64 {
    match task.objective() {
        Objective::SquaredError => task.normaliser(dims),
        Objective::CrossEntropy | Objective::Classes => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_that_are_not_asked_for_stay_in_the_prompt() {
        let xs: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let all = Prompts::pairs(xs, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3, 2]);
        let asked = all.clone().ask_last(1);
        assert_eq!(asked.targets(), 2);
        assert_eq!((asked.ys[2], asked.ys[5]), (3.0, 6.0));
        let tokens = |prompts: &Prompts| prompts.tokens(2, 0, &Device::Cpu).unwrap().flatten_all().unwrap();
        let values = |prompts: &Prompts| tokens(prompts).to_vec1::<f32>().unwrap();
        assert_eq!(values(&asked), values(&all));
        assert_eq!(values(&asked.slice(1..2)), values(&all.slice(1..2)));
        assert_eq!(values(&asked.select(&[1, 0])), values(&all.select(&[1, 0])));
        assert_eq!(asked.select(&[1]).ys[2], 6.0);
        // All that is asked for, or more, changes nothing.
        assert_eq!(all.clone().ask_last(3), all);
        assert_eq!(all.clone().ask_last(9), all);
    }
}
