//! What a run was scored on.

use std::path::{Path, PathBuf};

use looped_core::Objective;
use looped_eval::{Curve, Curves, Evaluation, MODEL, PromptScores, Scores};
use looped_train::{command_line, resume_by};

use crate::statistics::Scale;

/// How often the prompts are resampled.
const RESAMPLES: usize = 400;

/// What an evaluation calls a score of which more is better.
pub(crate) const ACCURACY: &str = Objective::CrossEntropy.score_name();

/// An evaluation with the scores of its prompts, where they were kept.
pub(crate) struct Scored {
    pub(crate) evaluation: Evaluation,
    pub(crate) prompts: Option<PromptScores>,
}

/// The mean scores of a model: on all prompts, and then on each resample of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Means {
    /// (1 + resamples, examples).
    pub(crate) over_examples: Vec<Vec<f64>>,
    /// (1 + resamples, loops).
    pub(crate) over_loops: Vec<Vec<f64>>,
}

impl Scored {
    /// Reads the evaluation of the run in `folder`: its own, or the one saved under a name.
    pub(crate) fn read(folder: &Path, name: Option<&str>) -> Result<Self, String> {
        let (file, scores) = files(folder, name);
        let shown = folder.display();
        if !file.is_file() {
            return Err(match name {
                None => format!(
                    "{shown} has no eval.json: it was interrupted, or still runs; resume it by `{}`",
                    resume_by(folder)
                ),
                Some(name) => format!(
                    "{shown} has no evaluation called {name}; make one by `{}`",
                    command_line(&["looped", "eval", &shown.to_string(), "--save", name])
                ),
            });
        }
        let text =
            std::fs::read_to_string(&file).map_err(|e| format!("{}: cannot be read: {e}", file.display()))?;
        let evaluation: Evaluation =
            serde_json::from_str(&text).map_err(|e| format!("{}: is no evaluation: {e}", file.display()))?;
        if evaluation.curves.get(MODEL).is_none_or(|curve| curve.mean.is_empty()) {
            return Err(format!("{}: has no curve of the model", file.display()));
        }
        let prompts = match std::fs::read(&scores) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(format!("{}: cannot be read: {error}", scores.display())),
            Ok(bytes) => Some(
                PromptScores::decode(&bytes, &evaluation)
                    .map_err(|what| format!("{}: {what}", scores.display()))?,
            ),
        };
        Ok(Self { evaluation, prompts })
    }

    /// The model's mean scores; resampled where the scores of the prompts were kept and `resample` says so.
    pub(crate) fn means(&self, resample: bool) -> Means {
        let of = |scores: Option<&Scores>, curve: &Curve| {
            let mut means = vec![curve.mean.clone()];
            if let Some(scores) = scores.filter(|_| resample) {
                means.extend(scores.resampled_means(RESAMPLES, self.evaluation.seed));
            }
            means
        };
        let prompts = self.prompts.as_ref();
        Means {
            over_examples: self
                .evaluation
                .curves
                .get(MODEL)
                .map_or_else(Vec::new, |curve| of(prompts.and_then(|of| of.get(MODEL)), curve)),
            over_loops: of(prompts.map(|of| &of.per_loop), &self.evaluation.per_loop),
        }
    }

    /// What scores are averaged over seeds as.
    pub(crate) fn scale(&self) -> Scale {
        if self.evaluation.score == ACCURACY { Scale::Accuracies } else { Scale::Errors }
    }

    /// How many points its prompts have.
    pub(crate) fn points(&self) -> usize {
        self.evaluation.curves.get(MODEL).map_or(0, |curve| curve.mean.len())
    }

    /// Keeps the prompts at these positions alone.
    pub(crate) fn keep(&mut self, positions: &[usize]) {
        let Some(prompts) = &mut self.prompts else { return };
        prompts.prompts = positions.iter().map(|&i| prompts.prompts[i]).collect();
        let named = prompts.curves.iter_mut().chain(&mut prompts.baselines_per_loop);
        named.for_each(|(_, scores)| *scores = scores.at(positions));
        prompts.per_loop = prompts.per_loop.at(positions);
        let seed = self.evaluation.seed;
        let curve = |scores: &Scores| scores.curve(RESAMPLES, seed);
        let again = |curves: &mut Curves, scores: &[(String, Scores)]| {
            curves.0.iter_mut().zip(scores).for_each(|((_, to), (_, from))| *to = curve(from));
        };
        again(&mut self.evaluation.curves, &prompts.curves);
        again(&mut self.evaluation.baselines_per_loop, &prompts.baselines_per_loop);
        self.evaluation.per_loop = curve(&prompts.per_loop);
        self.evaluation.prompts = positions.len();
    }
}

/// Where an evaluation and the scores of its prompts are.
fn files(folder: &Path, name: Option<&str>) -> (PathBuf, PathBuf) {
    match name {
        None => (folder.join("eval.json"), folder.join("scores.safetensors")),
        Some(name) => {
            let evals = folder.join("evals");
            (evals.join(format!("{name}.json")), evals.join(format!("{name}.safetensors")))
        }
    }
}
