//! The runs of a sweep, each checked before the first one starts.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use looped_config::sweep::{Sweep, Variant, overlap};
use looped_config::{ConfigError, Difference, Experiment, Finding, differences};

use crate::{Result, StudyError};

/// All runs, variant by variant.
#[derive(Debug)]
pub struct Plan {
    /// The sweep's folder.
    pub out: PathBuf,
    /// The variants, in the file's order.
    pub variants: Vec<PlannedVariant>,
    /// The runs: each variant with every seed.
    pub runs: Vec<PlannedRun>,
    /// What was translated of the base, and into what.
    pub notes: Vec<String>,
}

/// One variant.
#[derive(Debug)]
pub struct PlannedVariant {
    /// Its experiment, but for the seed.
    pub experiment: Experiment,
    /// How many runs it has.
    pub seeds: usize,
}

/// One run.
#[derive(Clone, Debug)]
pub struct PlannedRun {
    /// The variant and seed, in words.
    pub label: String,
    /// The variant's name.
    pub variant: String,
    /// The seed.
    pub seed: u64,
    /// The run's directory.
    pub folder: PathBuf,
    /// The file that its output goes to.
    pub log: PathBuf,
    /// The file that its config is written to before the first run starts.
    pub config: PathBuf,
    /// The config: complete, with absolute paths.
    pub toml: String,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Not begun.
    New,
    /// Begun, and to be resumed.
    Begun,
    /// Trained and evaluated.
    Finished,
}

impl PlannedRun {
    /// How far the run is now: one that an earlier sweep started may still be running.
    #[must_use]
    pub fn state(&self) -> RunState {
        let has = |file: &str| self.folder.join(file).is_file();
        if !has("config.toml") {
            RunState::New
        } else if has("eval.json") && has("report.html") {
            RunState::Finished
        } else {
            RunState::Begun
        }
    }
}

impl Plan {
    /// Checks the base with `overrides`, then every variant, then what `out` holds of their runs already. Writes nothing.
    ///
    /// # Errors
    /// If anything can't be used: one message with everything that was found.
    pub fn new(sweep: &Sweep, overrides: &[String], out: &Path) -> Result<Self> {
        let base = looped_config::load(&sweep.base, overrides)?;
        refuse_collisions(sweep, overrides)?;
        let mut plan =
            Self { out: out.to_owned(), variants: Vec::new(), runs: Vec::new(), notes: base.notes };
        let mut problems = Vec::new();
        let mut stems: HashMap<String, String> = HashMap::new();
        for variant in &sweep.variants {
            let place = format!("{}: {}", sweep.path.display(), variant.place);
            let mut experiment = match load(sweep, overrides, variant) {
                Ok(experiment) => experiment,
                Err(error) => {
                    problems.push(placed(error, &place));
                    continue;
                }
            };
            let name = variant.name.as_ref().unwrap_or(&base.experiment.name);
            for &seed in &sweep.seeds {
                experiment.seed = seed;
                let run = PlannedRun::new(name, &experiment, out)?;
                let stem = run.stem();
                if let Some(other) = stems.insert(stem.clone(), run.label.clone()) {
                    let label = &run.label;
                    problems.push(format!(
                        "{place}: {label} and {other} would share the folder {stem}; rename one"
                    ));
                } else if let Err(problem) = refuse_another(&run.folder, &experiment) {
                    problems.push(problem);
                }
                plan.runs.push(run);
            }
            plan.variants.push(PlannedVariant { experiment, seeds: sweep.seeds.len() });
        }
        // A mistake in the base of a grid would be told once for each of its points.
        let mut told = HashSet::new();
        let lines: Vec<&str> =
            problems.iter().flat_map(|problem| problem.lines()).filter(|line| told.insert(*line)).collect();
        if lines.is_empty() { Ok(plan) } else { Err(StudyError::Refused(lines.join("\n"))) }
    }

    /// The directories of the runs that are finished.
    #[must_use]
    pub fn finished(&self) -> Vec<PathBuf> {
        let finished = self.runs.iter().filter(|run| run.state() == RunState::Finished);
        finished.map(|run| run.folder.clone()).collect()
    }
}

impl PlannedRun {
    fn new(variant: &str, experiment: &Experiment, out: &Path) -> Result<Self> {
        let seed = experiment.seed;
        let stem = format!("{}-seed{seed}", slug(variant));
        Ok(Self {
            label: format!("{variant}, seed {seed}"),
            variant: variant.to_owned(),
            seed,
            folder: out.join("runs").join(&stem),
            log: out.join("logs").join(format!("{stem}.log")),
            config: out.join("configs").join(format!("{stem}.toml")),
            toml: experiment.to_toml()?,
        })
    }

    /// The name of its folder.
    fn stem(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// The experiment of a variant: the base with the command line's settings, the variant's own and its name.
fn load(sweep: &Sweep, overrides: &[String], variant: &Variant) -> Result<Experiment, ConfigError> {
    let mut all = overrides.to_vec();
    all.extend(variant.settings.iter().map(ToString::to_string));
    all.extend(variant.name.iter().map(|name| format!("name={}", toml::Value::from(name.as_str()))));
    Ok(looped_config::load(&sweep.base, &all)?.experiment)
}

/// Refuses `key=value` arguments that would undo what the sweep is about.
fn refuse_collisions(sweep: &Sweep, overrides: &[String]) -> Result<()> {
    let named = sweep.variants.iter().any(|variant| variant.name.is_some());
    let own = ["seed"].into_iter().chain(named.then_some("name"));
    let settings = sweep.variants.iter().flat_map(|variant| &variant.settings);
    let swept: HashSet<&str> = own.chain(settings.map(|setting| setting.key.as_str())).collect();
    for argument in overrides {
        let key = argument.split('=').next().unwrap_or_default().trim();
        if let Some(swept) = swept.iter().find(|swept| overlap(key, swept)) {
            let file = sweep.path.display();
            return Err(StudyError::Refused(format!(
                "command line: {key}: is set by {file} run by run ({swept}); change it there"
            )));
        }
    }
    Ok(())
}

/// An error of a variant, with its place in the sweep file instead of the command line.
fn placed(error: ConfigError, place: &str) -> String {
    match error {
        ConfigError::Invalid(findings) => {
            let placed = findings.into_iter().map(|finding| match finding.source.as_str() {
                "command line" => Finding { source: place.to_owned(), ..finding },
                _ => finding,
            });
            ConfigError::Invalid(placed.collect()).to_string()
        }
        ConfigError::Override(message) => format!("{place}: {message}"),
        error => error.to_string(),
    }
}

/// An error if a run's directory holds another experiment.
fn refuse_another(folder: &Path, planned: &Experiment) -> Result<(), String> {
    let config = folder.join("config.toml");
    if !config.is_file() {
        return Ok(());
    }
    let there = looped_config::load_run(&config, &[]).map_err(|error| error.to_string())?.experiment;
    // What the planned run leaves open was settled when the run there began.
    let settled = |change: &Difference| change.key.starts_with("evaluation.") && change.to.is_some();
    let changed: Vec<String> = differences(&there, planned)
        .iter()
        .filter(|change| change.changes_training() || settled(change))
        .map(ToString::to_string)
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} holds a run of another experiment ({}); remove it, or choose another --out",
        folder.display(),
        changed.join("; ")
    ))
}

/// A name as a folder that needs no quotes.
fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_.=+".contains(c) { c } else { ' ' };
    name.chars().map(plain).collect::<String>().split_whitespace().collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_need_no_quotes() {
        assert_eq!(slug("last 20"), "last-20");
        assert_eq!(slug("n_layer=2, x=-1e-4"), "n_layer=2-x=-1e-4");
        assert_eq!(slug("größer (alle)"), "größer-alle");
    }
}
