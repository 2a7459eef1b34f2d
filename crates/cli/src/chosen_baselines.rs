//! The baselines that a command line chooses.

use looped_core::{Baseline, Kind, Part, Problems};
use looped_eval::plugin_baselines;

use crate::failure::{Failure, Outcome};

/// Those given as `--baseline`, or `usual` and the ones that plugins have registered where none is.
pub(crate) fn chosen(given: &[String], usual: Vec<Box<dyn Baseline>>) -> Outcome<Vec<Box<dyn Baseline>>> {
    let holds = |chosen: &[Box<dyn Baseline>], name: &str| chosen.iter().any(|one| one.name() == name);
    if given.is_empty() {
        let mut baselines = usual;
        // Equal names are equal settings: the experiment has chosen that of a plugin itself.
        let more: Vec<_> =
            plugin_baselines().into_iter().filter(|one| !holds(&baselines, &one.name())).collect();
        baselines.extend(more);
        return Ok(baselines);
    }
    let mut baselines: Vec<Box<dyn Baseline>> = Vec::new();
    for text in given {
        let refused = |why: String| Failure::usage(format!("--baseline {text}: {why}"));
        let baseline = read(text).map_err(refused)?;
        if holds(&baselines, &baseline.name()) {
            return Err(refused(format!(
                "is called {}, as another one is; leave one of them out",
                baseline.name()
            )));
        }
        baselines.push(baseline);
    }
    Ok(baselines)
}

/// A type's name, or a table as in an experiment's `evaluation.baselines`.
fn read(text: &str) -> Result<Box<dyn Baseline>, String> {
    #[derive(serde::Deserialize)]
    struct Line {
        baseline: Box<dyn Baseline>,
    }
    let table = if text.trim_start().starts_with('{') {
        text.to_owned()
    } else {
        if Part::find(Kind::Baseline, text).is_none() {
            let known: Vec<&str> = Part::of(Kind::Baseline).iter().map(|part| part.tag).collect();
            return Err(format!("there is no such baseline; allowed: {}", known.join(", ")));
        }
        format!("{{ type = \"{text}\" }}")
    };
    let line: Line =
        toml::from_str(&format!("baseline = {table}")).map_err(|error| error.message().to_owned())?;
    let mut problems = Problems::new();
    line.baseline.validate(&mut problems);
    if problems.is_empty() { Ok(line.baseline) } else { Err(problems.to_string()) }
}
