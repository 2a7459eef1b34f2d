//! Finished runs side by side: grouped into variants, averaged over seeds, set beside the baselines.

mod align;
mod difference;
mod figures;
mod history;
mod made;
mod numbers;
mod options;
mod page;
mod publish;
mod ratios;
mod reached;
mod run;
mod scored;
mod seeded;
mod seeds;
mod spreads;
mod tables;
mod task;
mod variant;
mod varied;

use std::path::{Path, PathBuf};

use looped_eval::{Curve, Curves, Evaluation, MODEL, MODEL_EMA};
use looped_report::report::Report;

pub(crate) use history::normaliser;
pub use options::CompareOptions;
pub use publish::refuse_unless_free;
pub(crate) use scored::Scored;
pub use tables::clock;
pub(crate) use task::scored_on;
pub use variant::MissingRun;

use crate::comparison::align::{Basis, align};
use crate::comparison::ratios::Ratios;
use crate::comparison::reached::Reached;
use crate::comparison::run::FinishedRun;
use crate::comparison::variant::Variant;
use crate::{Result, StudyError};

/// What runs of one task found.
pub struct Comparison {
    variants: Vec<Variant>,
    /// Of all runs: each baseline where it was scored on the longest prompts.
    baselines: Curves,
    /// Over loops, of the baselines that take a step for each: where there were most loops.
    baselines_per_loop: Curves,
    /// What pairs the runs.
    basis: Basis,
    /// Each variant against one of them.
    ratios: Ratios,
    /// Runs of variants that have no finished run at all.
    missing: Vec<MissingRun>,
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
        Self::with(paths, &CompareOptions::default())
    }

    /// As [`of`](Self::of), with what is asked for otherwise than usual.
    ///
    /// # Errors
    /// As [`of`](Self::of), and if the runs don't have what is asked for.
    pub fn with(paths: &[PathBuf], options: &CompareOptions) -> Result<Self> {
        options.check()?;
        let (mut runs, mut problems) = (Vec::new(), Vec::new());
        for (i, path) in paths.iter().enumerate() {
            if paths[..i].iter().any(|other| same_folder(other, path)) {
                problems.push(format!("{} is given twice", path.display()));
                continue;
            }
            match FinishedRun::read(path, options.evaluation.as_deref()) {
                Ok(run) => runs.push(run),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() && !runs.windows(2).all(|pair| pair[0].task == pair[1].task) {
            let lines = runs.iter().map(|run| format!("\n  {}: {}", run.path.display(), run.task));
            problems.push(format!(
                "only runs of one task can be compared; these have several:{}",
                lines.collect::<String>()
            ));
        }
        if !problems.is_empty() {
            return Err(StudyError::Refused(problems.join("\n")));
        }
        let basis = align(&mut runs).map_err(StudyError::Refused)?;
        for run in &mut runs {
            run.means = run.scored.means(basis != Basis::NoScores);
        }
        seeded::put_back(&mut runs);
        let baselines_per_loop = longest(&runs, |evaluation| &evaluation.baselines_per_loop);
        let baselines = longest(&runs, |evaluation| &evaluation.curves);
        let variants = variant::group(runs);
        let names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
        let against = options.place(&names)?;
        let points = variants.iter().map(|variant| variant.error.mean.len()).min().unwrap_or(0);
        let counts = options.counts(variants[0].first().scored.evaluation.dims, points)?;
        let ratios = Ratios::of(&variants, against, &counts, options);
        Ok(Self { variants, baselines, baselines_per_loop, basis, ratios, missing: Vec::new() })
    }

    /// The same with the runs that are missing told in their variants' rows: a mean of those that came through may flatter.
    #[must_use]
    pub fn with_missing(mut self, missing: Vec<MissingRun>) -> Self {
        for run in missing {
            match self.variants.iter_mut().find(|variant| variant.first().name == run.variant) {
                Some(variant) => variant.missing.push(run),
                None => self.missing.push(run),
            }
        }
        self
    }

    /// Writes report, plots and numbers; the folder is there as a whole or not at all.
    ///
    /// # Errors
    /// If a file can't be written; then the folder is as it was.
    pub fn publish(&self, folder: &Path, context: &ReportContext) -> Result<()> {
        publish::publish(folder, |place| {
            let json = serde_json::to_string_pretty(&self.numbers())?;
            looped_train::write_atomically(&place.join("comparison.json"), json.as_bytes())?;
            Ok(self.report(context).write(place)?)
        })
    }

    /// What [`publish`](Self::publish) writes as `report.html`.
    #[must_use]
    pub fn report(&self, context: &ReportContext) -> Report {
        page::report(self, context)
    }

    /// What [`publish`](Self::publish) writes as `comparison.json`: every number; what isn't finite is null.
    #[must_use]
    pub fn numbers(&self) -> serde_json::Value {
        numbers::json(self)
    }

    /// Ratios, errors and costs, for a terminal.
    #[must_use]
    pub fn tables(&self) -> String {
        let mut parts = Vec::new();
        if self.variants.len() > 1 {
            let ratios = &self.ratios;
            parts.push(format!("{}\n\n{}", tables::ratios_caption(self), tables::ratios(self).text()));
            parts.extend(ratios.power(&self.first().scored.evaluation).map(|power| format!("{power}\n")));
        }
        parts.push(format!("{}\n\n{}", tables::errors_caption(self), tables::errors(self).text()));
        parts.push(tables::costs(self).text());
        parts.join("\n")
    }

    /// What a reader must know before the numbers, if anything.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let runs = self.variants.iter().flat_map(|variant| &variant.runs);
        let mut warnings =
            made::warnings(&runs.map(|run| (run.path.as_path(), &run.made)).collect::<Vec<_>>());
        warnings.extend(self.ratios.uneven(&self.variants));
        warnings
    }

    /// How soon each variant had learnt what all of them have.
    fn reached(&self) -> Option<Reached> {
        Reached::of(self.variants.iter().map(|variant| &variant.history.validation))
    }

    /// What has the least possible validation loss, where that is known of every run.
    fn floor(&self) -> Option<&str> {
        let mut runs = self.variants.iter().flat_map(|variant| &variant.runs);
        let known = runs.all(|run| run.floor.is_some());
        let name = self.first().floor.as_ref().map(|floor| floor.name.as_str());
        name.filter(|_| known)
    }

    /// The settings that differ among the variants.
    fn varied(&self) -> Vec<varied::VariedKey> {
        let settings: Vec<_> = self.variants.iter().map(|variant| &variant.first().settings).collect();
        varied::varied(&settings)
    }

    /// The run that stands for what all have in common.
    fn first(&self) -> &FinishedRun {
        self.variants[0].first()
    }
}

fn same_folder(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// The curves of each baseline where they are longest.
fn longest(runs: &[FinishedRun], of: fn(&Evaluation) -> &Curves) -> Curves {
    let mut found: Vec<(String, Curve)> = Vec::new();
    let own = |name: &str| [MODEL, MODEL_EMA].contains(&name);
    let all = runs.iter().flat_map(|run| of(&run.scored.evaluation).iter()).filter(|(name, _)| !own(name));
    for (name, curve) in all {
        match found.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) if known.mean.len() >= curve.mean.len() => {}
            Some((_, known)) => *known = curve.clone(),
            None => found.push((name.to_owned(), curve.clone())),
        }
    }
    Curves(found)
}

#[cfg(test)]
mod tests;
