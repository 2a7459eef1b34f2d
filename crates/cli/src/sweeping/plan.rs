//! The runs of a sweep, each checked before the first one starts.

use std::path::{Path, PathBuf};

use looped_config::{ConfigError, Experiment, Finding};

use crate::failure::{Failure, Outcome};
use crate::sweeping::SweepFile;
use crate::sweeping::setting::overlap;
use crate::sweeping::variants::Variant;

/// All runs, variant by variant.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) base: PathBuf,
    pub(crate) runs: Vec<Planned>,
}

/// One run.
#[derive(Debug)]
pub(crate) struct Planned {
    /// The variant and seed, in words.
    pub(crate) label: String,
    /// The run's directory.
    pub(crate) folder: PathBuf,
    /// The file that its output goes to.
    pub(crate) log: PathBuf,
    /// What makes it of the base.
    pub(crate) overrides: Vec<String>,
    pub(crate) experiment: Experiment,
    pub(crate) state: State,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    New,
    Begun,
    Finished,
}

impl Plan {
    /// Checks the base with `overrides`, then every variant with every seed, then what `out` holds of them already.
    pub(crate) fn new(file: &SweepFile, overrides: &[String], out: &Path) -> Outcome<Self> {
        let base = looped_config::load(&file.base, overrides).map_err(Failure::usage)?;
        base.notes.iter().for_each(|note| eprintln!("note: {note}"));
        refuse_collisions(file, overrides)?;
        let mut problems: Vec<String> = Vec::new();
        let mut runs: Vec<Planned> = Vec::new();
        for variant in &file.variants {
            let name = variant.name.as_ref().unwrap_or(&base.experiment.name);
            for &seed in &file.seeds {
                let stem = format!("{}-seed{seed}", slug(name));
                let (label, folder) = (format!("{name}, seed {seed}"), out.join("runs").join(&stem));
                if let Some(other) = runs.iter().find(|other| other.folder == folder) {
                    let message =
                        format!("{label} and {} would share the folder {stem}; rename one", other.label);
                    problems.push(format!("{}: {}: {message}", file.path.display(), variant.place));
                    continue;
                }
                let overrides = all_overrides(overrides, variant, seed);
                let experiment = match looped_config::load(&file.base, &overrides) {
                    Ok(loaded) => loaded.experiment,
                    Err(error) => {
                        problems.push(placed(error, file, variant));
                        continue;
                    }
                };
                match state(&folder, &experiment) {
                    Ok(state) => {
                        let log = out.join("logs").join(format!("{stem}.log"));
                        runs.push(Planned { label, folder, log, overrides, experiment, state });
                    }
                    Err(problem) => problems.push(problem),
                }
            }
        }
        // A mistake in the base of a grid would be told once for each of its points.
        let mut told: Vec<&str> = Vec::new();
        for line in problems.iter().flat_map(|problem| problem.lines()) {
            if !told.contains(&line) {
                told.push(line);
            }
        }
        if told.is_empty() {
            Ok(Self { base: file.base.clone(), runs })
        } else {
            Err(Failure::usage(told.join("\n")))
        }
    }
}

/// The command line's settings, the variant's, its name and the seed.
fn all_overrides(overrides: &[String], variant: &Variant, seed: u64) -> Vec<String> {
    let mut all = overrides.to_vec();
    all.extend(variant.settings.iter().map(ToString::to_string));
    all.extend(variant.name.iter().map(|name| format!("name={}", toml::Value::from(name.as_str()))));
    all.push(format!("seed={seed}"));
    all
}

/// Refuses `key=value` arguments that would undo what the sweep is about.
fn refuse_collisions(file: &SweepFile, overrides: &[String]) -> Outcome {
    let named = file.variants.iter().any(|variant| variant.name.is_some());
    let own = ["seed"].into_iter().chain(named.then_some("name"));
    let settings = file.variants.iter().flat_map(|variant| &variant.settings);
    let swept: Vec<&str> = own.chain(settings.map(|setting| setting.key.as_str())).collect();
    for argument in overrides {
        let key = argument.split('=').next().unwrap_or_default().trim();
        if let Some(swept) = swept.iter().find(|swept| overlap(key, swept)) {
            let file = file.path.display();
            return Err(Failure::usage(format!(
                "command line: {key}: is set by {file} run by run ({swept}); change it there"
            )));
        }
    }
    Ok(())
}

/// An error of a variant, with its place in the sweep file instead of the command line.
fn placed(error: ConfigError, file: &SweepFile, variant: &Variant) -> String {
    let place = format!("{}: {}", file.path.display(), variant.place);
    match error {
        ConfigError::Invalid(findings) => {
            let placed = findings.into_iter().map(|finding| match finding.source.as_str() {
                "command line" => Finding { source: place.clone(), ..finding },
                _ => finding,
            });
            ConfigError::Invalid(placed.collect()).to_string()
        }
        ConfigError::Override(message) => format!("{place}: {message}"),
        error @ ConfigError::File { .. } => error.to_string(),
    }
}

/// What a run's directory holds; an error if that is another experiment.
fn state(folder: &Path, planned: &Experiment) -> Result<State, String> {
    let config = folder.join("config.toml");
    if !config.is_file() {
        return Ok(State::New);
    }
    let there = looped_config::load(&config, &[]).map_err(|error| error.to_string())?.experiment;
    let [there, planned] = [&there, planned].map(|experiment| experiment.to_toml().unwrap_or_default());
    if there != planned {
        let differs = there.lines().zip(planned.lines()).find(|(there, planned)| there != planned);
        let detail =
            differs.map_or_else(String::new, |(there, now)| format!(" (`{there}` there, `{now}` now)"));
        return Err(format!(
            "{} holds a run of another experiment{detail}; remove it, or choose another --out",
            folder.display()
        ));
    }
    let finished = ["eval.json", "report.html"].iter().all(|file| folder.join(file).is_file());
    Ok(if finished { State::Finished } else { State::Begun })
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
