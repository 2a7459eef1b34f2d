//! Prompts of the user's own.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use looped_core::{
    Error, ModelDims, Problems, Prompts, Request, Result, Rng, Split, Task, schemars, typetag,
};
use serde::{Deserialize, Serialize};

use crate::prompt_file;

/// Prompts from a safetensors file: `xs` (N, n, d) and `ys` (N, n), f32, d being the model's n_dims.
///
/// Training takes them in file order and starts over at the end, or in an order drawn afresh for each pass with
/// `shuffle`. Curriculum cuts them: to their first points, and to their first coordinates, the others being set to 0.
/// Held-out prompts are those of `validation_path`, in file order; without it they are the training file's own, so
/// that scores are of prompts that the model was trained on. Errors are divided by the coordinates in use, as for
/// linear regression.
///
/// A file is read once, when it is first needed. In an experiment file a relative path starts at that file's folder.
#[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// The file to train on.
    pub path: PathBuf,
    /// Whether each pass over the file has a random order of its own.
    #[serde(default)]
    pub shuffle: bool,
    /// What the orders are drawn from.
    #[serde(default)]
    pub shuffle_seed: u64,
    /// The file to score on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_path: Option<PathBuf>,
    #[serde(skip)]
    train: OnceLock<Prompts>,
    #[serde(skip)]
    held_out: OnceLock<Prompts>,
    #[serde(skip)]
    order: Mutex<Option<Order>>,
}

/// The order of one pass over the training file.
#[derive(Debug)]
struct Order {
    epoch: u64,
    prompts: Vec<usize>,
}

impl Dataset {
    /// The prompts of a file, in its order.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// The file of a split, and its prompts, read when first asked for.
    fn open(&self, split: Split) -> Result<(&Path, &Prompts)> {
        let (path, loaded) = match (split, &self.validation_path) {
            (Split::HeldOut, Some(path)) => (path, &self.held_out),
            _ => (&self.path, &self.train),
        };
        if let Some(prompts) = loaded.get() {
            return Ok((path, prompts));
        }
        let prompts = prompt_file::read(path)
            .map_err(|message| Error::Data(format!("{} {message}", path.display())))?;
        Ok((path, loaded.get_or_init(|| prompts)))
    }

    /// Which prompt of `count` is the `position`-th of the training, from 0.
    fn shuffled(&self, position: u64, count: usize) -> usize {
        let (epoch, within) = (position / count as u64, (position % count as u64) as usize);
        // Steps go through an epoch in turn, so the last order is kept. It follows from the epoch alone, as an exact
        // resume needs.
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        match &*order {
            Some(order) if order.epoch == epoch => order.prompts[within],
            _ => {
                let prompts = Rng::stream(self.shuffle_seed, "shuffle", epoch).permutation(count);
                let found = prompts[within];
                *order = Some(Order { epoch, prompts });
                found
            }
        }
    }

    fn check(&self, key: &str, split: Split, dims: &ModelDims, problems: &mut Problems) {
        match self.open(split) {
            Err(Error::Data(message)) => problems.report(key, message),
            Err(error) => problems.report(key, error.to_string()),
            Ok((path, file)) => {
                let path = path.display();
                problems.require(file.n_dims == dims.n_dims, key, || {
                    format!(
                        "{path} has x of {} coordinates, and model.n_dims is {}",
                        file.n_dims, dims.n_dims
                    )
                });
                problems.require(file.points <= dims.n_positions, key, || {
                    format!(
                        "{path} has prompts of {} points, more than model.n_positions, {}",
                        file.points, dims.n_positions
                    )
                });
            }
        }
    }
}

#[typetag::serde(name = "dataset")]
impl Task for Dataset {
    fn validate(&self, dims: &ModelDims, problems: &mut Problems) {
        self.check("path", Split::Train, dims, problems);
        if self.validation_path.is_some() {
            self.check("validation_path", Split::HeldOut, dims, problems);
        }
    }

    fn sample(&self, request: Request, _: &mut Rng) -> Result<Prompts> {
        let Request { prompts, points, dims, n_dims, first, split } = request;
        let (path, file) = self.open(split)?;
        let refuse = |what: &str, asked: usize, has: usize| {
            Err(Error::Data(format!("{asked} {what} are asked for, and {} has {has}", path.display())))
        };
        if points > file.points {
            return refuse("points a prompt", points, file.points);
        }
        if n_dims != file.n_dims {
            return refuse("coordinates of x", n_dims, file.n_dims);
        }
        if dims > n_dims {
            return refuse("coordinates of x", dims, n_dims);
        }
        let mut cut = Prompts {
            xs: Vec::with_capacity(prompts * points * n_dims),
            ys: Vec::with_capacity(prompts * points),
            prompts,
            points,
            n_dims,
        };
        for position in (first..).take(prompts) {
            let i = match split {
                Split::Train if self.shuffle => self.shuffled(position, file.prompts),
                _ => (position % file.prompts as u64) as usize,
            };
            let (xs, ys) = file.get(i);
            for x in xs.chunks_exact(n_dims).take(points) {
                cut.xs.extend_from_slice(&x[..dims]);
                cut.xs.extend(std::iter::repeat_n(0.0, n_dims - dims));
            }
            cut.ys.extend_from_slice(&ys[..points]);
        }
        Ok(cut)
    }
}

looped_core::register!(Task, "dataset", Dataset);

#[cfg(test)]
mod tests;
