//! Prompts of the user's own.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use looped_core::{
    Error, ModelDims, Problems, Prompts, Request, Result, Rng, Split, Task, schemars, typetag,
};
use serde::{Deserialize, Serialize};

use crate::passes::Passes;
use crate::prompt_file::PromptFile;

/// Prompts from a safetensors file: `xs` (N, n, d) and `ys` (N, n), f32, d being the model's n_dims.
///
/// Training takes them in file order and starts over at the end, or in an order drawn afresh for each pass with
/// `shuffle`. Curriculum cuts them: to their first points, and to their first coordinates, the others being set to 0.
/// A model is scored on the prompts of `validation_path`, in file order and each once at most; without it on those of the
/// training file, which it was trained on. Errors are divided by the coordinates in use, as for linear regression.
///
/// A file is read once, when it is first needed. The training file must stay as it is until the training is done. In an experiment file a relative path starts at that file's folder.
#[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// The file to train on.
    #[schemars(extend("format" = "path"))]
    pub path: PathBuf,
    /// Whether each pass over the file has a random order of its own.
    #[serde(default)]
    pub shuffle: bool,
    /// What the orders are drawn from.
    #[serde(default)]
    pub shuffle_seed: u64,
    /// The file to score on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "path"))]
    pub validation_path: Option<PathBuf>,
    #[serde(skip)]
    train: OnceLock<PromptFile>,
    #[serde(skip)]
    validation: OnceLock<PromptFile>,
    #[serde(skip)]
    passes: Passes,
}

impl Dataset {
    /// The prompts of a file, in its order.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// The file of a split, and its prompts, read when first asked for.
    fn open(&self, split: Split) -> Result<(&Path, &PromptFile)> {
        let (path, loaded) = match (split, &self.validation_path) {
            (Split::Evaluation, Some(path)) => (path, &self.validation),
            _ => (&self.path, &self.train),
        };
        if let Some(file) = loaded.get() {
            return Ok((path, file));
        }
        let file =
            PromptFile::read(path).map_err(|message| Error::Data(format!("{} {message}", path.display())))?;
        Ok((path, loaded.get_or_init(|| file)))
    }
}

/// Why a file can't serve a request.
fn misfit(path: &Path, file: &Prompts, request: Request) -> Option<String> {
    let Request { points, dims, n_dims, .. } = request;
    let (what, asked, has) = if points > file.points {
        ("points a prompt", points, file.points)
    } else if n_dims != file.n_dims {
        ("coordinates of x", n_dims, file.n_dims)
    } else if dims > n_dims {
        ("coordinates of x", dims, n_dims)
    } else {
        return None;
    };
    Some(format!("{asked} {what} are asked for, and {} has {has}", path.display()))
}

#[typetag::serde(name = "dataset")]
impl Task for Dataset {
    fn check(&self, dims: &ModelDims, request: Request, problems: &mut Problems) {
        let key = match (request.split, &self.validation_path) {
            (Split::Evaluation, Some(_)) => "validation_path",
            _ => "path",
        };
        let (path, file) = match self.open(request.split) {
            Ok((path, file)) => (path, &file.prompts),
            Err(Error::Data(message)) => return problems.report(key, message),
            Err(error) => return problems.report(key, error.to_string()),
        };
        let (shown, before) = (path.display(), problems.found().len());
        problems.require(file.n_dims == dims.n_dims, key, || {
            format!("{shown} has x of {} coordinates, and model.n_dims is {}", file.n_dims, dims.n_dims)
        });
        problems.require(file.points <= dims.n_positions, key, || {
            format!(
                "{shown} has prompts of {} points, more than model.n_positions, {}",
                file.points, dims.n_positions
            )
        });
        if problems.found().len() == before
            && let Some(message) = misfit(path, file, request)
        {
            problems.report(key, message);
        }
    }

    fn count(&self, split: Split) -> Result<Option<usize>> {
        Ok(Some(self.open(split)?.1.prompts.prompts))
    }

    fn scores_on_training_prompts(&self) -> bool {
        self.validation_path.is_none()
    }

    fn fingerprint(&self) -> Result<Option<String>> {
        Ok(Some(self.open(Split::Train)?.1.sha256.clone()))
    }

    fn sample(&self, request: Request, _: &mut Rng) -> Result<Prompts> {
        let Request { prompts, points, dims, n_dims, first, split } = request;
        let (path, PromptFile { prompts: file, .. }) = self.open(split)?;
        if let Some(message) = misfit(path, file, request) {
            return Err(Error::Data(message));
        }
        let mut cut = Prompts::pairs(
            Vec::with_capacity(prompts * points * n_dims),
            Vec::with_capacity(prompts * points),
            [prompts, points, n_dims],
        );
        for position in (first..).take(prompts) {
            let i = match split {
                Split::Train if self.shuffle => self.passes.prompt(self.shuffle_seed, position, file.prompts),
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
