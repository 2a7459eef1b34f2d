//! One file: its bytes, its format, its tree of values.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use figment::value::{Dict, Value};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::place::{Malformed, Place};
use crate::text::Text;
use crate::{ConfigError, yaml};

/// More than any experiment file needs; a file of another kind is refused before it fills the memory.
const LARGEST: u64 = 1 << 20;

/// A file's keys and values, and the text they stand in.
#[derive(Debug)]
pub(crate) struct Read<T = Dict> {
    pub(crate) values: T,
    pub(crate) text: Text,
}

/// The keys and values of a TOML, YAML or JSON file.
pub(crate) fn read(path: &Path) -> Result<Read, ConfigError> {
    let text = open(path)?;
    let values = match &text {
        Text::Toml(text) => parse_toml(text),
        Text::Json(text) => parse_json(text).and_then(table),
        Text::Yaml(text) => yaml::parse(text).and_then(|(tree, _)| table(tree)),
        Text::Arguments(_) => Ok(Dict::new()),
    };
    match values {
        Ok(values) => Ok(Read { values, text }),
        Err(malformed) => Err(ConfigError::malformed(path.display(), malformed)),
    }
}

/// The same with the keys in the file's order.
pub(crate) fn read_in_order(path: &Path) -> Result<Read<toml::Table>, ConfigError> {
    let text = open(path)?;
    let values = match &text {
        Text::Toml(text) => parse_toml(text),
        Text::Json(text) => parse_json(text).and_then(ordered_table),
        Text::Yaml(text) => yaml::parse(text).and_then(|(tree, _)| ordered_table(tree)),
        Text::Arguments(_) => Ok(toml::Table::new()),
    };
    match values {
        Ok(values) => Ok(Read { values, text }),
        Err(malformed) => Err(ConfigError::malformed(path.display(), malformed)),
    }
}

/// The text of a file, of the format that its extension names.
fn open(path: &Path) -> Result<Text, ConfigError> {
    let fail = |message: String| ConfigError::file(path.display(), message);
    let of_format = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => Text::Toml,
        Some("yaml" | "yml") => Text::Yaml,
        Some("json") => Text::Json,
        Some(other) => {
            return Err(fail(format!("has the extension .{other}; expected .toml, .yaml, .yml or .json")));
        }
        None => return Err(fail("has no extension; expected .toml, .yaml, .yml or .json".to_owned())),
    };
    let text = text(path).map_err(fail)?;
    Ok(of_format(text.trim_start_matches('\u{feff}').to_owned()))
}

fn text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("is larger than {} KiB, which no experiment file is", LARGEST >> 10));
    }
    String::from_utf8(bytes)
        .map_err(|error| format!("is not UTF-8 text: bad byte at {}", error.utf8_error().valid_up_to()))
}

pub(crate) fn parse_toml<T: DeserializeOwned>(text: &str) -> Result<T, Malformed> {
    toml::from_str(text).map_err(|error| Malformed {
        message: error.message().trim().replace('\n', "; "),
        place: error.span().map(|span| Place::of(text, span)),
    })
}

fn parse_json(text: &str) -> Result<Json, Malformed> {
    serde_json::from_str(text).map_err(|error| {
        let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
        let at = lines.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
        let full = error.to_string();
        let message = full.split(" at line ").next().unwrap_or_default().to_owned();
        Malformed { message, place: Some(Place::of(text, at..at)) }
    })
}

fn table(tree: Json) -> Result<Dict, Malformed> {
    match tree {
        Json::Null => Ok(Dict::new()),
        Json::Object(_) => {
            let value = Value::serialize(tree).map_err(|error| error.to_string())?;
            Ok(value.into_dict().unwrap_or_default())
        }
        _ => Err("holds no keys; expected name, task, model, training, ...".to_owned().into()),
    }
}

/// The same for a tree whose order counts; no value may be empty.
fn ordered_table(tree: Json) -> Result<toml::Table, Malformed> {
    match tree {
        Json::Null => Ok(toml::Table::new()),
        Json::Object(_) => Ok(serde_json::from_value(tree).map_err(|error| error.to_string())?),
        _ => Err("holds no keys; expected base, seeds, ...".to_owned().into()),
    }
}
