//! What a run was scored on, and the prompts that runs have in common.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use looped_core::Objective;
use looped_eval::{Curve, Evaluation, MODEL, PromptScores, Scores};
use looped_train::{command_line, resume_by};

use crate::comparison::run::FinishedRun;
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
    fn points(&self) -> usize {
        self.evaluation.curves.get(MODEL).map_or(0, |curve| curve.mean.len())
    }

    /// Keeps the prompts at these positions alone.
    fn keep(&mut self, positions: &[usize]) {
        let Some(prompts) = &mut self.prompts else { return };
        prompts.prompts = positions.iter().map(|&i| prompts.prompts[i]).collect();
        prompts.curves.iter_mut().for_each(|(_, scores)| *scores = scores.at(positions));
        prompts.per_loop = prompts.per_loop.at(positions);
        let seed = self.evaluation.seed;
        let curve = |scores: &Scores| scores.curve(RESAMPLES, seed);
        for ((_, to), (_, from)) in self.evaluation.curves.0.iter_mut().zip(&prompts.curves) {
            *to = curve(from);
        }
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

/// What pairs the runs of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    /// All are scored on the same prompts.
    SamePrompts,
    /// The prompts have different numbers of points, and so are different ones.
    OtherLengths,
    /// Not every run has kept the scores of its prompts.
    NoScores,
}

/// Cuts runs to the prompts that they have in common; refuses runs that have none.
pub(crate) fn align(runs: &mut [FinishedRun]) -> Result<Basis, String> {
    let evaluation = |run: &FinishedRun| (run.scored.evaluation.loops, run.trained_loops);
    let loops: Vec<usize> = runs.iter().map(|run| evaluation(run).0).collect();
    let as_trained = runs.iter().all(|run| evaluation(run).0 == evaluation(run).1);
    if !as_trained && loops.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(refusal(runs, "after different numbers of loops, and not each after its own"));
    }
    let lengths: Vec<usize> = runs.iter().map(|run| run.scored.points()).collect();
    let one_length = lengths.windows(2).all(|pair| pair[0] == pair[1]);
    if runs.iter().any(|run| run.scored.prompts.is_none()) {
        let set = |run: &FinishedRun| (run.scored.evaluation.seed, run.scored.evaluation.prompts);
        return if runs.windows(2).all(|pair| set(&pair[0]) == set(&pair[1])) {
            Ok(Basis::NoScores)
        } else {
            Err(refusal(runs, "on different prompts"))
        };
    }
    for length in &lengths {
        let mut alike: Vec<&mut FinishedRun> =
            runs.iter_mut().filter(|run| run.scored.points() == *length).collect();
        if !cut_to_common(&mut alike) {
            return Err(refusal(runs, "on different prompts"));
        }
    }
    Ok(if one_length { Basis::SamePrompts } else { Basis::OtherLengths })
}

/// Whether the runs have prompts in common, two at least; they keep no others.
fn cut_to_common(runs: &mut [&mut FinishedRun]) -> bool {
    let prompts =
        |run: &FinishedRun| run.scored.prompts.as_ref().map_or_else(Vec::new, |of| of.prompts.clone());
    let Some(first) = runs.first() else { return true };
    let mut common = prompts(first);
    if runs.iter().all(|run| prompts(run) == common) {
        return true;
    }
    for run in runs.iter() {
        let there = positions(&prompts(run));
        common.retain(|prompt| there.contains_key(prompt));
    }
    for run in runs.iter_mut() {
        let there = positions(&prompts(run));
        let kept: Vec<usize> = common.iter().filter_map(|prompt| there.get(prompt).copied()).collect();
        if kept.len() < 2 {
            return false;
        }
        run.scored.keep(&kept);
    }
    true
}

/// Where each prompt is.
fn positions(prompts: &[u64]) -> HashMap<u64, usize> {
    prompts.iter().enumerate().map(|(i, &prompt)| (prompt, i)).collect()
}

/// What each run was scored on, and the commands that score them alike.
fn refusal(runs: &[FinishedRun], how: &str) -> String {
    let mut lines = vec![format!("these runs are scored {how}:")];
    for run in runs {
        let Evaluation { prompts, seed, loops, .. } = run.scored.evaluation;
        let (path, points) = (run.path.display(), run.scored.points());
        lines.push(format!("  {path}: {prompts} prompts of seed {seed}, {points} points, {loops} loops"));
    }
    lines.push("score each alike, as here, and compare with `--eval common`:".to_owned());
    let Evaluation { prompts, seed, .. } = runs[0].scored.evaluation;
    for run in runs {
        let (path, loops) = (run.path.display(), run.trained_loops);
        lines.push(format!(
            "  looped eval {path} --prompts {prompts} --seed {seed} --loops {loops} --save common"
        ));
    }
    lines.join("\n")
}
