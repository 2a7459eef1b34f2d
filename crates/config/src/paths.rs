//! Relative paths mean the folder of the file that they stand in.
//!
//! A key holds a path if its schema's `format` is [`PATH`].

use std::path::Path;

use figment::value::{Dict, Value};
use looped_core::Part;
use looped_core::parts::PATH;
use serde_json::Value as Schema;

use crate::wording::{alternatives, part_kind, resolve};

/// Makes every path in `table` absolute, seen from `folder`: the experiment then means the same files from wherever it is
/// read again.
pub(crate) fn make_absolute(table: &mut Dict, schema: &Schema, folder: &Path) {
    let mut places = Vec::new();
    for (key, value) in &*table {
        texts(value, vec![key.clone()], &mut places);
    }
    let tree = Value::from(table.clone());
    for place in places.iter().filter(|place| holds_path(Some(&tree), place, schema, schema)) {
        if let Some(Value::String(_, path)) = at(table, place)
            && let Some(absolute) = absolute(path, folder)
        {
            *path = absolute;
        }
    }
}

/// Whether a key holds the path of a file, in any part that has it.
pub(crate) fn is_path_key(key: &str, schema: &Schema) -> bool {
    let keys: Vec<String> = key.split('.').map(str::to_owned).collect();
    holds_path(None, &keys, schema, schema)
}

/// Whether the schema of what `keys` lead to is that of a path. `tree` holds them: where it names a part by its `type`,
/// that part's keys count; else those of all parts.
fn holds_path(tree: Option<&Value>, keys: &[String], schema: &Schema, root: &Schema) -> bool {
    let schema = resolve(schema, root);
    if let Some(kind) = part_kind(schema) {
        let tag = tree.and_then(Value::as_dict).and_then(|table| table.get("type")).and_then(Value::as_str);
        let parts = Part::of(kind).into_iter().filter(|part| tag.is_none_or(|tag| tag == part.tag));
        return parts.map(|part| (part.schema)().to_value()).any(|own| holds_path(tree, keys, &own, &own));
    }
    if alternatives(schema).into_iter().any(|form| holds_path(tree, keys, form, root)) {
        return true;
    }
    let Some((key, rest)) = keys.split_first() else {
        return schema.get("format").and_then(Schema::as_str) == Some(PATH);
    };
    let inner = match tree {
        Some(Value::Dict(_, table)) => table.get(key),
        Some(Value::Array(_, items)) => key.parse().ok().and_then(|i: usize| items.get(i)),
        _ => None,
    };
    let of_key = schema.get("properties").and_then(|keys| keys.get(key));
    let of_all = || schema.get("additionalProperties").or_else(|| schema.get("items"));
    of_key.or_else(of_all).is_some_and(|schema| holds_path(inner, rest, schema, root))
}

/// The places of all texts in a value; those of a list's items end with an index.
fn texts(value: &Value, place: Vec<String>, found: &mut Vec<Vec<String>>) {
    let below = |key: &str| [place.as_slice(), &[key.to_owned()]].concat();
    match value {
        Value::String(..) => found.push(place),
        Value::Dict(_, table) => table.iter().for_each(|(key, value)| texts(value, below(key), found)),
        Value::Array(_, items) => {
            items.iter().enumerate().for_each(|(i, item)| texts(item, below(&i.to_string()), found));
        }
        _ => {}
    }
}

fn at<'a>(table: &'a mut Dict, place: &[String]) -> Option<&'a mut Value> {
    let (first, rest) = place.split_first()?;
    rest.iter().try_fold(table.get_mut(first)?, |value, key| match value {
        Value::Dict(_, table) => table.get_mut(key),
        Value::Array(_, items) => items.get_mut(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// `path` seen from `folder`. `None` where it stays as it is: if it's empty, or if the folder's name isn't UTF-8 and so
/// can't stand in TOML.
fn absolute(path: &str, folder: &Path) -> Option<String> {
    if path.is_empty() {
        return None;
    }
    std::path::absolute(folder.join(path)).ok()?.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use looped_blocks as _;
    use looped_core::{Baseline, Prompt, Result, schemars, typetag};
    use looped_tasks as _;
    use schemars::schema_for;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::Experiment;

    /// A baseline with a path under a name that doesn't say so, and a text under one that does.
    #[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
    struct Published {
        #[schemars(extend("format" = "path"))]
        weights: std::path::PathBuf,
        xpath: String,
    }

    #[typetag::serde(name = "published")]
    impl Baseline for Published {
        fn name(&self) -> String {
            "published".to_owned()
        }

        fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
            Ok(vec![0.0; prompt.ys.len()])
        }
    }

    looped_core::register!(Baseline, "published", Published);

    fn seen_from_sweeps(text: &str) -> String {
        let mut table: Dict = toml::from_str(text).unwrap();
        make_absolute(&mut table, schema_for!(Experiment).as_value(), Path::new("/sweeps"));
        toml::to_string(&table).unwrap().trim_end().to_owned()
    }

    #[test]
    fn the_schema_says_which_keys_hold_paths() {
        for (text, expected) in [
            ("[model]\npretrained_path = 'a.pt'", "[model]\npretrained_path = \"/sweeps/a.pt\""),
            (
                "[task]\npath = '/x'\ntype = 'dataset'\nvalidation_path = ''",
                "[task]\npath = \"/x\"\ntype = \"dataset\"\nvalidation_path = \"\"",
            ),
            (
                "[task]\ntype = 'shifted'\n[task.base]\npath = 'x'\ntype = 'dataset'",
                "[task]\ntype = \"shifted\"\n\n[task.base]\npath = \"/sweeps/x\"\ntype = \"dataset\"",
            ),
            (
                "[[evaluation.baselines]]\ntype = 'published'\nweights = 'b'\nxpath = 'c'",
                "[[evaluation.baselines]]\ntype = \"published\"\nweights = \"/sweeps/b\"\nxpath = \"c\"",
            ),
            // Which part it is may be said in another file.
            ("[task]\npath = 'x'", "[task]\npath = \"/sweeps/x\""),
            // Not a key of this part.
            (
                "[task]\npath = 'x'\ntype = 'linear_regression'",
                "[task]\npath = \"x\"\ntype = \"linear_regression\"",
            ),
            ("name = 'path'", "name = \"path\""),
        ] {
            assert_eq!(seen_from_sweeps(text), expected);
        }
    }

    #[test]
    fn a_key_is_known_by_its_dotted_name() {
        let is_path = |key| is_path_key(key, schema_for!(Experiment).as_value());
        assert!(is_path("task.path") && is_path("model.pretrained_path"));
        assert!(is_path("evaluation.baselines.0.weights"));
        assert!(
            !is_path("name")
                && !is_path("task")
                && !is_path("training.path")
                && !is_path("evaluation.baselines")
        );
    }
}
