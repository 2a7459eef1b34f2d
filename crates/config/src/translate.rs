//! The YAML form of the study and of the paper's code, turned into ours.
//!
//! A file is in that form if it names a `model.family` or a `training.task_name`, or inherits. It's checked against
//! [`Published`] as our own form is against its schema, then written anew key by key, with a note for each.

mod ours;
mod published;

use std::path::Path;

use figment::value::{Dict, Value};
use looped_core::Problems;
use schemars::schema_for;

use crate::ConfigError;
use crate::check::check;
use crate::layers::{Layer, Layers};
use crate::paths::make_absolute;
use crate::read::Read;
use crate::text::Text;
use crate::trail::{Trail, folder, sibling};
use crate::wording::shown;
use published::Published;

/// Whether a file's values are in the published form.
pub(crate) fn is_published(values: &Dict) -> bool {
    let has = |table: &str, key: &str| {
        values.get(table).and_then(Value::as_dict).is_some_and(|table| table.contains_key(key))
    };
    values.contains_key("inherit") || has("model", "family") || has("training", "task_name")
}

/// What the published form is checked against.
pub(crate) fn schema() -> serde_json::Value {
    schema_for!(Published).to_value()
}

/// Our form of the published values of the file `path` and of those it inherits.
pub(crate) fn translate(
    values: Dict,
    text: Text,
    path: &Path,
    trail: &mut Trail,
    notes: &mut Vec<String>,
) -> Result<Dict, ConfigError> {
    let mut layers = Layers::default();
    inherit(Read { values, text }, path, trail, &mut layers)?;
    let tree = layers.merge(&path.display().to_string())?;
    let mut problems = Problems::new();
    check(&tree.value, &schema(), &mut problems);
    if !problems.is_empty() {
        return Err(ConfigError::Invalid(tree.locate(&problems)));
    }
    let fail = |error: figment::Error| ConfigError::file(path.display(), error.to_string());
    let published: Published = tree.value.deserialize().map_err(fail)?;
    let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let (ours, said) = ours::ours(published, &stem, &mut problems);
    if !problems.is_empty() {
        return Err(ConfigError::Invalid(tree.locate(&problems)));
    }
    notes.extend(said.into_iter().map(|note| format!("{}: {note}", path.display())));
    Ok(Value::serialize(ours).map_err(fail)?.into_dict().unwrap_or_default())
}

/// Lays a file over those it inherits, in their order.
fn inherit(read: Read, path: &Path, trail: &mut Trail, layers: &mut Layers) -> Result<(), ConfigError> {
    let Read { mut values, text } = read;
    let parents = match values.remove("inherit") {
        None => Vec::new(),
        Some(Value::Array(_, parents)) => parents,
        Some(parent) => vec![parent],
    };
    for parent in parents {
        let Value::String(_, name) = &parent else {
            let message = format!("inherit: is {}, expected a list of files", shown(&parent));
            return Err(ConfigError::file(path.display(), message));
        };
        let parent = sibling(path, name);
        let inherited = trail.enter(&parent, "inherit")?;
        inherit(inherited, &parent, trail, layers)?;
        trail.leave();
    }
    make_absolute(&mut values, &schema(), folder(path));
    read_numbers(&mut values);
    layers.push(Layer { source: path.display().to_string(), values, text });
    Ok(())
}

/// YAML readers don't agree on what `1e-4` is; here it's a number.
fn read_numbers(values: &mut Dict) {
    let Some(Value::Dict(_, training)) = values.get_mut("training") else { return };
    for key in ["learning_rate", "weight_decay"] {
        if let Some(value) = training.get_mut(key)
            && let Some(number) = value.as_str().and_then(|text| text.parse::<f64>().ok())
        {
            *value = Value::from(number);
        }
    }
}
