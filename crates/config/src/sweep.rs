//! Sweep files: a base experiment, seeds, and what varies, as named variants or as the axes of a grid.
//!
//! [`Sweep::read`] reads TOML, YAML and JSON as [`load`](crate::load()) does, and tells everything that is wrong with a
//! file at once. What comes of it are [`Variant`]s: each a list of `key=value` settings that go on top of the base.

mod arguments;
mod executor;
mod grid;
mod setting;
mod variants;

use std::path::{Path, PathBuf};

use looped_core::Problems;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use toml::Table;

pub use crate::seed::SEED;
pub use executor::{ExecutorConfig, LocalConfig, SlurmConfig};
pub use setting::{Setting, overlap};
pub use variants::Variant;

use crate::check::check;
use crate::load::{Loaded, load_seeds, load_with};
use crate::overrides::Settings;
use crate::read::Read;
use crate::trail::{folder, sibling};
use crate::{ConfigError, Experiment, Finding, command_line, read};

/// A sweep, ready to be planned.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The file that it was read from; `command line` for one that was given there.
    pub path: PathBuf,
    /// The file's contents, or those of one that would say the same.
    pub text: String,
    /// The experiment that the variants change.
    pub base: PathBuf,
    /// The seeds of every variant's runs.
    pub seeds: Vec<u64>,
    /// At least one: where the file names none, the base as it is.
    pub variants: Vec<Variant>,
    /// Where the runs are done, unless the command line says otherwise.
    pub executor: ExecutorConfig,
}

/// A sweep file, key by key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "looped sweep")]
struct SweepFile {
    /// The experiment file that the variants change; relative to this file.
    base: String,
    /// The seeds of every variant's runs.
    #[schemars(length(min = 1))]
    seeds: Vec<u64>,
    /// Named changes of the base, each a curve in the plots.
    #[schemars(length(min = 1))]
    variant: Option<Vec<NamedVariant>>,
    /// A list of values for each key of the experiment; every combination of them is a variant. `{seed}` in a text is the run's seed.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    axes: Option<Table>,
    /// Where the runs are done; not given: on this machine.
    #[serde(default)]
    executor: Option<ExecutorConfig>,
}

/// A `[[variant]]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NamedVariant {
    /// Names the curve in the plots and the folders of the runs.
    name: String,
    /// Keys of the experiment and their values; left out, the base as it is. `{seed}` in a text is the run's seed.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    set: Table,
}

impl Sweep {
    /// Whether a file is a sweep rather than an experiment: only a sweep has a base, or seeds.
    #[must_use]
    pub fn is_at(path: &Path) -> bool {
        let read = read::read_in_order(path);
        read.is_ok_and(|read| read.values.contains_key("base") || read.values.contains_key("seeds"))
    }

    /// Reads a sweep file.
    ///
    /// # Errors
    /// If it can't be read, or anything in it can't be used: one message with everything that was found.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let Read { values, text } = read::read_in_order(path)?;
        let mut problems = Problems::new();
        let found = Self::of(values, path, text.as_str().to_owned(), &mut problems);
        match found {
            Some(sweep) if problems.is_empty() => Ok(sweep),
            _ => {
                let source = path.display().to_string();
                let findings = problems.found().iter().map(|problem| Finding {
                    source: source.clone(),
                    path: problem.path.clone(),
                    message: problem.message.clone(),
                    place: text.place(problem),
                });
                Err(ConfigError::Invalid(findings.collect()))
            }
        }
    }

    /// The base with the command line's settings, as it is with the first seed.
    ///
    /// # Errors
    /// If anything in it can't be used: one message with everything that was found.
    pub fn load_base(&self, overrides: &[String]) -> Result<Loaded, ConfigError> {
        let settings = [Settings::of_command_line(overrides)?];
        load_with(&self.base, &settings, self.seeds.first().copied(), true)
    }

    /// The experiments of a variant: the base with the command line's settings, the variant's own and its name.
    ///
    /// Where a text of it has `{seed}`, that is the run's seed, and there is an experiment for each; else there is one, of the first seed.
    ///
    /// # Errors
    /// If anything in it can't be used: one message with everything that was found, and the variant that holds it.
    pub fn experiments(
        &self,
        overrides: &[String],
        variant: &Variant,
    ) -> Result<Vec<Experiment>, ConfigError> {
        let place = format!("{}: {}", self.path.display(), variant.place);
        let name = variant.name.iter().map(|name| format!("name={}", toml::Value::from(name.as_str())));
        let own = variant.settings.iter().map(ToString::to_string).chain(name).collect();
        let own = Settings::parse(&place, folder(&self.path), own);
        let own = own.map_err(|message| ConfigError::file(&place, message))?;
        let seeds = if self.seeds.is_empty() { &[0] } else { self.seeds.as_slice() };
        load_seeds(&self.base, &[Settings::of_command_line(overrides)?, own], seeds)
    }

    /// The sweep of a file's contents; `None` if they don't have its form.
    fn of(table: Table, path: &Path, text: String, problems: &mut Problems) -> Option<Self> {
        let of_experiments = ["task", "model", "training", "extends"];
        if !table.contains_key("base") && of_experiments.iter().any(|key| table.contains_key(*key)) {
            let run = command_line(&["looped", "run", &path.display().to_string()]);
            problems.report("", format!("is an experiment, not a sweep; train it by `{run}`"));
            return None;
        }
        match figment::value::Value::serialize(&table) {
            Ok(tree) => check(&tree, schema_for!(SweepFile).as_value(), problems),
            Err(error) => problems.report("", error.to_string()),
        }
        if !problems.is_empty() {
            return None;
        }
        let file: SweepFile = match table.try_into() {
            Ok(file) => file,
            Err(error) => {
                problems.report("", error.message());
                return None;
            }
        };
        for (i, seed) in file.seeds.iter().enumerate().filter(|(i, seed)| file.seeds[..*i].contains(seed)) {
            problems.report("seeds", format!("lists {seed} twice (entry {})", i + 1));
        }
        let variants = match (&file.variant, &file.axes) {
            (Some(_), Some(_)) => {
                problems.report("axes", "stands beside [[variant]]; a sweep has variants or axes, not both");
                Vec::new()
            }
            (Some(named), None) => variants::variants(named, problems),
            (None, Some(axes)) => grid::grid(axes, problems),
            (None, None) => vec![Variant::base()],
        };
        let base = sibling(path, &file.base);
        let executor = file.executor.unwrap_or_default();
        Some(Self { path: path.to_owned(), text, base, seeds: file.seeds, variants, executor })
    }
}

/// The JSON Schema (draft 2020-12) of a sweep file.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schema_for!(SweepFile).to_value()
}
