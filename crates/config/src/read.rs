//! One file: its bytes, its format, its tree of values.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use figment::providers::{Format as _, Yaml};
use figment::value::{Dict, Value};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::ConfigError;

/// More than any experiment file needs; a file of another kind is refused before it fills the memory.
const LARGEST: u64 = 1 << 20;

/// How a file is written, by its extension.
enum Format {
    Toml,
    Yaml,
    Json,
}

/// The keys and values of a TOML, YAML or JSON file.
pub(crate) fn read(path: &Path) -> Result<Dict, ConfigError> {
    let (format, text) = open(path)?;
    let parsed = match format {
        Format::Toml => parse_toml(&text),
        Format::Yaml => parse_yaml(&text).and_then(table),
        Format::Json => parse_json(&text).and_then(table),
    };
    parsed.map_err(|message| ConfigError::file(path.display(), message))
}

/// The same with the keys in the file's order, and the file's text.
pub(crate) fn read_in_order(path: &Path) -> Result<(toml::Table, String), ConfigError> {
    let (format, text) = open(path)?;
    let parsed = match format {
        Format::Toml => parse_toml(&text),
        Format::Yaml => parse_yaml(&text).and_then(ordered_table),
        Format::Json => parse_json(&text).and_then(ordered_table),
    };
    let table = parsed.map_err(|message| ConfigError::file(path.display(), message))?;
    Ok((table, text))
}

fn open(path: &Path) -> Result<(Format, String), ConfigError> {
    let fail = |message: String| ConfigError::file(path.display(), message);
    let format = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => Format::Toml,
        Some("yaml" | "yml") => Format::Yaml,
        Some("json") => Format::Json,
        Some(other) => {
            return Err(fail(format!("has the extension .{other}; expected .toml, .yaml, .yml or .json")));
        }
        None => return Err(fail("has no extension; expected .toml, .yaml, .yml or .json".to_owned())),
    };
    let text = text(path).map_err(fail)?;
    Ok((format, text.trim_start_matches('\u{feff}').to_owned()))
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

/// Parses TOML; an error names line and column.
pub(crate) fn parse_toml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| {
        let place = error.span().and_then(|span| text.get(..span.start)).map(|before| {
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            format!("line {line}, column {column}: ")
        });
        format!("{}{}", place.unwrap_or_default(), error.message().trim().replace('\n', "; "))
    })
}

fn parse_yaml(text: &str) -> Result<Json, String> {
    Yaml::from_str(text).map_err(|error| error.to_string())
}

fn parse_json(text: &str) -> Result<Json, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// YAML goes by way of JSON, whose trees hold nothing but what an experiment may: no tags, no keys but text.
fn table(tree: Json) -> Result<Dict, String> {
    match tree {
        Json::Null => Ok(Dict::new()),
        Json::Object(_) => {
            let value = Value::serialize(tree).map_err(|error| error.to_string())?;
            Ok(value.into_dict().unwrap_or_default())
        }
        _ => Err("holds no keys; expected name, task, model, training, ...".to_owned()),
    }
}

/// The same for a tree whose order counts; no value may be empty.
fn ordered_table(tree: Json) -> Result<toml::Table, String> {
    match tree {
        Json::Null => Ok(toml::Table::new()),
        Json::Object(_) => serde_json::from_value(tree).map_err(|error| error.to_string()),
        _ => Err("holds no keys; expected base, seeds, ...".to_owned()),
    }
}
