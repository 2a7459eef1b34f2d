//! Finished runs side by side: grouped into variants, averaged over seeds, set beside the baselines.

mod difference;
mod figures;
mod history;
mod numbers;
mod page;
mod publish;
mod run;
mod seeds;
mod tables;
mod variant;

use std::path::{Path, PathBuf};

use looped_eval::{Curve, Curves, MODEL};

pub use publish::refuse_unless_free;
pub use tables::clock;

use crate::comparison::run::FinishedRun;
use crate::comparison::variant::Variant;
use crate::{Result, StudyError};

/// What runs of one task found.
pub struct Comparison {
    variants: Vec<Variant>,
    /// Of all runs: each baseline where it was scored on the longest prompts.
    baselines: Curves,
}

/// The words around the numbers.
#[derive(Clone, Debug, Default)]
pub struct ReportContext {
    /// The report's title.
    pub title: String,
    /// What a reader must know first, as which runs are missing.
    pub notes: Vec<String>,
    /// The command lines that lead to the same comparison.
    pub repeat: Vec<String>,
}

impl Comparison {
    /// Reads the runs in these directories and groups them.
    ///
    /// # Errors
    /// If a run can't be read, or not all can be compared: one message with everything that was found.
    pub fn of(paths: &[PathBuf]) -> Result<Self> {
        let (mut runs, mut problems) = (Vec::new(), Vec::new());
        for (i, path) in paths.iter().enumerate() {
            if paths[..i].iter().any(|other| same_folder(other, path)) {
                problems.push(format!("{} is given twice", path.display()));
                continue;
            }
            match FinishedRun::read(path) {
                Ok(run) => runs.push(run),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() && !runs.windows(2).all(|pair| pair[0].task() == pair[1].task()) {
            let lines = runs.iter().map(|run| format!("\n  {}: {}", run.path.display(), run.task()));
            problems.push(format!(
                "only runs of one task can be compared; these have several:{}",
                lines.collect::<String>()
            ));
        }
        if !problems.is_empty() {
            return Err(StudyError::Refused(problems.join("\n")));
        }
        let baselines = baselines(&runs);
        Ok(Self { variants: variant::group(runs), baselines })
    }

    /// Writes report, plots and numbers; the folder is there as a whole or not at all.
    ///
    /// # Errors
    /// If a file can't be written; then the folder is as it was.
    pub fn publish(&self, folder: &Path, context: &ReportContext) -> Result<()> {
        publish::publish(folder, |place| {
            let json = serde_json::to_string_pretty(&numbers::json(self))?;
            looped_train::write_atomically(&place.join("comparison.json"), json.as_bytes())?;
            Ok(page::report(self, context).write(place)?)
        })
    }

    /// Errors and costs, for a terminal.
    #[must_use]
    pub fn tables(&self) -> String {
        format!("{}\n{}", tables::errors(self).text(), tables::costs(self).text())
    }

    /// The run that stands for what all have in common.
    fn first(&self) -> &FinishedRun {
        self.variants[0].first()
    }

    /// The telling numbers of in-context examples that every variant was scored at: d, 2d and the last.
    fn reported_counts(&self) -> Vec<usize> {
        let lengths = self.variants.iter().map(|variant| variant.error.mean.len());
        let last = lengths.min().unwrap_or(0).saturating_sub(1);
        let dims = self.first().evaluation.dims;
        let mut counts = vec![dims, dims.saturating_mul(2), last];
        counts.retain(|&count| count <= last);
        counts.sort_unstable();
        counts.dedup();
        counts
    }
}

fn same_folder(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

fn baselines(runs: &[FinishedRun]) -> Curves {
    let mut found: Vec<(String, Curve)> = Vec::new();
    let all = runs.iter().flat_map(|run| run.evaluation.curves.iter()).filter(|(name, _)| *name != MODEL);
    for (name, curve) in all {
        match found.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) if known.mean.len() >= curve.mean.len() => {}
            Some((_, known)) => *known = curve.clone(),
            None => found.push((name.to_owned(), curve.clone())),
        }
    }
    Curves(found)
}
