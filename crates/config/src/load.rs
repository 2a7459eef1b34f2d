//! From a path and overrides to an experiment.

use std::path::{Path, PathBuf};

use figment::value::{Dict, Value};
use looped_core::Problems;
use schemars::schema_for;

use crate::check::check;
use crate::layers::{Layer, Layers, Tree};
use crate::overrides::Settings;
use crate::paths::make_absolute;
use crate::read::Read;
use crate::seed::put_seed;
use crate::text::Text;
use crate::trail::{Trail, folder, sibling};
use crate::wording::shown;
use crate::{ConfigError, Experiment, command_line, read, translate};

/// An experiment, ready to run.
#[derive(Debug)]
pub struct Loaded {
    /// The experiment.
    pub experiment: Experiment,
    /// What was translated from the published form, and into what; and settings that can't act.
    pub notes: Vec<String>,
}

/// Reads an experiment file, and those it extends, lays `key=value` overrides on top, and validates the whole.
///
/// # Errors
/// If a file can't be read, or anything in it can't be used: one message with everything that was found.
pub fn load(path: impl AsRef<Path>, overrides: &[String]) -> Result<Loaded, ConfigError> {
    load_with(path.as_ref(), &[Settings::of_command_line(overrides)?], None, true)
}

/// [`load`] for an experiment that was trained: the data that its task reads may have moved since, and aren't opened.
///
/// # Errors
/// As [`load`].
pub fn load_run(path: impl AsRef<Path>, overrides: &[String]) -> Result<Loaded, ConfigError> {
    load_with(path.as_ref(), &[Settings::of_command_line(overrides)?], None, false)
}

/// The file, and settings on top of it, the last ones on top; where a text has `{seed}`, the seed that is given.
pub(crate) fn load_with(
    path: &Path,
    settings: &[Settings],
    seed: Option<u64>,
    with_data: bool,
) -> Result<Loaded, ConfigError> {
    let (mut tree, mut notes) = merged(path, settings)?;
    if let Some(seed) = seed {
        put_seed(&mut tree.value, seed);
    }
    let experiment = extract(&tree, with_data)?;
    notes.extend(experiment.notes());
    Ok(Loaded { experiment, notes })
}

/// The experiments of some seeds: one for each if a text has `{seed}`; else one for all, with the first of them.
pub(crate) fn load_seeds(
    path: &Path,
    settings: &[Settings],
    seeds: &[u64],
) -> Result<Vec<Experiment>, ConfigError> {
    let (mut tree, _) = merged(path, settings)?;
    let open = tree.value.clone();
    let mut all = Vec::new();
    for &seed in seeds {
        tree.value = open.clone();
        let is_own = put_seed(&mut tree.value, seed);
        let mut experiment = extract(&tree, true)?;
        experiment.seed = seed;
        all.push(experiment);
        if !is_own {
            break;
        }
    }
    Ok(all)
}

/// The values of the file, and of settings on top of it; and what was translated.
fn merged(path: &Path, settings: &[Settings]) -> Result<(Tree, Vec<String>), ConfigError> {
    let mut notes = Vec::new();
    let mut layers = Layers::default();
    for layer in chain(path, &mut notes)? {
        layers.push(layer);
    }
    for settings in settings {
        for path in settings.tables() {
            layers.clear(path);
        }
        layers.push(settings.layer());
    }
    Ok((layers.merge(&path.display().to_string())?, notes))
}

impl Experiment {
    /// An experiment from the text of a TOML file; relative paths in it mean the current folder.
    ///
    /// # Errors
    /// If the text can't be used, as in [`load`].
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        const NAME: &str = "experiment";
        let mut values =
            read::parse_toml(text).map_err(|malformed| ConfigError::malformed(NAME, malformed))?;
        let text = Text::Toml(text.to_owned());
        make_absolute(&mut values, schema_for!(Self).as_value(), Path::new(""));
        let mut layers = Layers::default();
        layers.push(Layer { source: NAME.to_owned(), values, text });
        extract(&layers.merge(NAME)?, true)
    }
}

/// The file's layer and those it extends, the lowest first.
fn chain(path: &Path, notes: &mut Vec<String>) -> Result<Vec<Layer>, ConfigError> {
    let mut layers = Vec::new();
    let mut trail = Trail::default();
    let mut next = Some(path.to_owned());
    while let Some(path) = next.take() {
        let Read { mut values, text } = trail.enter(&path, "extends")?;
        if is_sweep(&values) {
            return Err(ConfigError::file(path.display(), sweep_advice(&path)));
        }
        if translate::is_published(&values) {
            values = translate::translate(values, text.clone(), &path, &mut trail, notes)?;
        } else {
            make_absolute(&mut values, schema_for!(Experiment).as_value(), folder(&path));
            next = base(&mut values, &path)?;
        }
        layers.push(Layer { source: path.display().to_string(), values, text });
    }
    layers.reverse();
    Ok(layers)
}

/// Whether a file's values are those of a sweep: it has keys of one, and none of an experiment's own tables.
fn is_sweep(values: &Dict) -> bool {
    let has = |keys: &[&str]| keys.iter().any(|key| values.contains_key(*key));
    has(&["base", "seeds", "variant", "axes"]) && !has(&["task", "model", "training", "evaluation"])
}

fn sweep_advice(path: &Path) -> String {
    let sweep = command_line(&["looped", "sweep", &path.display().to_string(), "--out", "DIR"]);
    format!("is a sweep file, not an experiment; run it by `{sweep}`, or check its runs by `looped check`")
}

/// The file that a file extends.
fn base(values: &mut Dict, path: &Path) -> Result<Option<PathBuf>, ConfigError> {
    match values.remove("extends") {
        None => Ok(None),
        Some(Value::String(_, name)) => Ok(Some(sibling(path, &name))),
        Some(other) => {
            let message = format!("extends: is {}, expected the path of a file", shown(&other));
            Err(ConfigError::file(path.display(), message))
        }
    }
}

/// Checks the tree, builds the experiment, and checks what its keys mean together, and what its data hold.
fn extract(tree: &Tree, with_data: bool) -> Result<Experiment, ConfigError> {
    let mut problems = Problems::new();
    let refuse = |problems: &Problems| match problems.is_empty() {
        true => Ok(()),
        false => Err(ConfigError::Invalid(tree.locate(problems))),
    };
    check(&tree.value, schema_for!(Experiment).as_value(), &mut problems);
    refuse(&problems)?;
    let experiment = tree.value.deserialize::<Experiment>();
    if let Err(error) = &experiment {
        problems.report(&error.path.join("."), error.kind.to_string());
    }
    refuse(&problems)?;
    let experiment = experiment.map_err(|error| ConfigError::file("experiment", error.to_string()))?;
    experiment.validate(&mut problems);
    refuse(&problems)?;
    if with_data {
        experiment.validate_data(&mut problems);
    }
    refuse(&problems)?;
    Ok(experiment)
}
