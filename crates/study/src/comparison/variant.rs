//! Runs that differ in nothing but their seed are one variant, also where it stands in a text of their configs.

use std::path::Path;

use looped_eval::{Curve, MODEL};

use crate::comparison::difference::{Settings, difference};
use crate::comparison::history::History;
use crate::comparison::run::FinishedRun;
use crate::comparison::scored::Means;
use crate::comparison::seeds::{averaged, mean};

/// A run that a variant should have had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRun {
    /// The variant's name.
    pub variant: String,
    /// The seed.
    pub seed: u64,
    /// What became of it, in a word: `diverged`, `failed`.
    pub why: String,
}

/// A variant with its seeds.
pub(crate) struct Variant {
    /// What tells it from the others: the experiment's name, or the run directory's where several share it.
    pub(crate) name: String,
    /// One for each seed; at least one.
    pub(crate) runs: Vec<FinishedRun>,
    /// The error per number of in-context examples, with its interval over seeds and prompts.
    pub(crate) error: Curve,
    /// The error at the last query after each loop, with its interval.
    pub(crate) per_loop: Curve,
    pub(crate) history: History,
    /// Runs that it should have had.
    pub(crate) missing: Vec<MissingRun>,
}

impl Variant {
    fn of(name: String, runs: Vec<FinishedRun>) -> Self {
        let over = |of: fn(&Means) -> &[Vec<f64>], own: Option<&Curve>| match (runs.as_slice(), own) {
            // A single run has had its interval since it was evaluated.
            ([_], Some(own)) => own.clone(),
            _ => {
                let means: Vec<&[Vec<f64>]> = runs.iter().map(|run| of(&run.means)).collect();
                averaged(&means, runs[0].scored.scale())
            }
        };
        let evaluation = &runs[0].scored.evaluation;
        let log_points: Vec<&[_]> = runs.iter().map(|run| run.log_points.as_slice()).collect();
        Self {
            error: over(|means| &means.over_examples, evaluation.curves.get(MODEL)),
            per_loop: over(|means| &means.over_loops, Some(&evaluation.per_loop)),
            history: History::of(&log_points),
            missing: Vec::new(),
            name,
            runs,
        }
    }

    pub(crate) fn first(&self) -> &FinishedRun {
        &self.runs[0]
    }

    pub(crate) fn seeds(&self) -> Vec<u64> {
        self.runs.iter().map(|run| run.seed).collect()
    }

    /// The error of each seed.
    pub(crate) fn errors(&self) -> impl Iterator<Item = (u64, &[f64])> {
        self.runs.iter().filter_map(|run| Some((run.seed, run.means.over_examples.first()?.as_slice())))
    }

    /// The error of each seed after each loop.
    pub(crate) fn errors_per_loop(&self) -> impl Iterator<Item = (u64, &[f64])> {
        self.runs.iter().filter_map(|run| Some((run.seed, run.means.over_loops.first()?.as_slice())))
    }

    /// CPU seconds of training, mean over the seeds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        mean(self.runs.iter().map(FinishedRun::cpu_seconds))
    }

    /// How its config differs from another's.
    pub(crate) fn difference_from(&self, other: &Self) -> Vec<String> {
        difference(&other.first().settings, &self.first().settings)
    }
}

/// Groups runs of one name and config, seed left aside, in the order they come. A run that repeats another's seed too
/// says nothing new about seeds: it opens a group of its own.
pub(crate) fn group(runs: Vec<FinishedRun>) -> Vec<Variant> {
    let mut groups: Vec<Vec<FinishedRun>> = Vec::new();
    for run in runs {
        let same = |other: &FinishedRun| identity(other) == identity(&run);
        let takes =
            |group: &Vec<FinishedRun>| same(&group[0]) && group.iter().all(|other| other.seed != run.seed);
        match groups.iter().position(takes) {
            Some(index) => groups[index].push(run),
            None => groups.push(vec![run]),
        }
    }
    for group in &mut groups {
        group.sort_by_key(|run| run.seed);
    }
    let names = names(&groups);
    names.into_iter().zip(groups).map(|(name, runs)| Variant::of(name, runs)).collect()
}

fn identity(run: &FinishedRun) -> (&str, &Settings) {
    (&run.name, &run.settings)
}

/// The name of a run's directory, however it was reached: `.` has one too.
fn folder_name(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The shortest kind of name that tells all groups apart.
fn names(groups: &[Vec<FinishedRun>]) -> Vec<String> {
    let kinds: [fn(&FinishedRun) -> String; 3] =
        [|run| run.name.clone(), |run| folder_name(&run.path), |run| run.path.display().to_string()];
    let all = |kind: fn(&FinishedRun) -> String| groups.iter().map(|group| kind(&group[0])).collect();
    let distinct = |names: &Vec<String>| names.iter().enumerate().all(|(i, name)| !names[..i].contains(name));
    kinds.into_iter().map(all).find(distinct).unwrap_or_else(|| all(kinds[2]))
}
