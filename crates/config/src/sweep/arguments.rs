//! A sweep from the command line: `looped sweep base.toml model.n_layer=[1,2,4] --seeds 0..2`.

use std::path::Path;

use looped_core::Problems;
use toml::{Table, Value};

use crate::sweep::{ExecutorConfig, Sweep, Variant, grid};
use crate::wording::quoted;
use crate::{ConfigError, Finding};

/// Where messages say that it stands.
const SOURCE: &str = "command line";

impl Sweep {
    /// The sweep of an experiment whose axes stand among `key=value` arguments: those whose value is a list. The other
    /// arguments are settings of every run.
    ///
    /// # Errors
    /// If a list is no TOML, or the axes can't be used: one message with everything that was found.
    pub fn from_arguments(
        base: &Path,
        arguments: &[String],
        seeds: Vec<u64>,
    ) -> Result<(Self, Vec<String>), ConfigError> {
        let is_axis = |argument: &&String| {
            argument.split_once('=').is_some_and(|(_, value)| value.trim_start().starts_with('['))
        };
        let (listed, settings): (Vec<&String>, Vec<&String>) = arguments.iter().partition(is_axis);
        let mut axes = Table::new();
        for argument in listed {
            let (key, list) = argument.split_once('=').unwrap_or_default();
            let Ok(values) = list.trim().parse::<Value>() else {
                return Err(ConfigError::Override(format!("{}: is no TOML list", quoted(argument))));
            };
            if axes.insert(key.trim().to_owned(), values).is_some() {
                return Err(ConfigError::Override(format!(
                    "{}: is the second list of this key",
                    quoted(argument)
                )));
            }
        }
        let mut problems = Problems::new();
        let variants = match axes.is_empty() {
            true => vec![Variant::base()],
            false => grid::grid(&axes, &mut problems),
        };
        if !problems.is_empty() {
            let findings = problems.found().iter().map(|problem| Finding {
                source: SOURCE.to_owned(),
                path: problem.path.clone(),
                message: problem.message.clone(),
                place: None,
            });
            return Err(ConfigError::Invalid(findings.collect()));
        }
        let text = file_of(base, &axes, &seeds);
        let executor = ExecutorConfig::default();
        let sweep = Self { path: SOURCE.into(), text, base: base.to_owned(), seeds, variants, executor };
        Ok((sweep, settings.into_iter().cloned().collect()))
    }
}

/// The sweep file that says the same.
fn file_of(base: &Path, axes: &Table, seeds: &[u64]) -> String {
    let absolute = std::path::absolute(base).unwrap_or_else(|_| base.to_owned());
    let base = Value::from(absolute.display().to_string());
    let mut text = format!("base = {base}\nseeds = {seeds:?}\n");
    if !axes.is_empty() {
        text += "\n[axes]\n";
    }
    for (key, values) in axes {
        text += &format!("{} = {values}\n", Value::from(key.as_str()));
    }
    text
}
