//! `key=value` of the command line: a dotted path and a TOML value.

use std::path::{Path, PathBuf};

use figment::value::{Dict, Value};
use schemars::schema_for;
use serde::Deserialize;
use toml::de::ValueDeserializer;

use crate::layers::Layer;
use crate::paths::make_absolute;
use crate::text::Text;
use crate::wording::quoted;
use crate::{ConfigError, Experiment};

/// Deeper paths than any part has.
const DEEPEST: usize = 16;

/// Settings of one source, to be laid on top of a file.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where messages say that they stand.
    source: String,
    /// The folder that their relative paths mean.
    folder: PathBuf,
    arguments: Vec<String>,
    overrides: Vec<Override>,
}

/// An override: where, and what.
#[derive(Clone, Debug)]
struct Override {
    path: Vec<String>,
    value: Value,
}

impl Settings {
    /// The `key=value` arguments of a command.
    pub(crate) fn of_command_line(arguments: &[String]) -> Result<Self, ConfigError> {
        Self::parse("command line", Path::new(""), arguments.to_vec()).map_err(ConfigError::Override)
    }

    /// Settings that stand elsewhere, written as arguments.
    ///
    /// # Errors
    /// If one of them is no `key=value`: what is wrong with it.
    pub(crate) fn parse(source: &str, folder: &Path, arguments: Vec<String>) -> Result<Self, String> {
        let overrides = arguments.iter().map(|argument| parse_one(argument)).collect::<Result<_, _>>()?;
        Ok(Self { source: source.to_owned(), folder: folder.to_owned(), arguments, overrides })
    }

    /// The keys that are set to a table: that sets the whole of them.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &[String]> {
        let tables = self.overrides.iter().filter(|set| set.value.as_dict().is_some());
        tables.map(|set| set.path.as_slice())
    }

    /// As a layer; a later setting wins over an earlier one.
    pub(crate) fn layer(&self) -> Layer {
        let mut values = Dict::new();
        for Override { path, value } in &self.overrides {
            set(&mut values, path, value.clone());
        }
        make_absolute(&mut values, schema_for!(Experiment).as_value(), &self.folder);
        let paths = self.overrides.iter().map(|set| set.path.clone());
        let text = Text::Arguments(paths.zip(self.arguments.iter().cloned()).collect());
        Layer { source: self.source.clone(), values, text }
    }
}

fn parse_one(argument: &str) -> Result<Override, String> {
    let fail = |message: &str| format!("{}: {message}", quoted(argument));
    let Some((path, value)) = argument.split_once('=') else {
        return Err(fail("expected KEY=VALUE, as in training.batch_size=32"));
    };
    let path: Vec<String> = path.split('.').map(|key| key.trim().to_owned()).collect();
    let bare = |key: &String| {
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    if path.len() > DEEPEST || !path.iter().all(bare) {
        return Err(fail("has no valid key before the =; write a dotted path, as in model.block.n_head=4"));
    }
    let value = value.trim();
    if value.is_empty() {
        return Err(fail("has no value after the =; write \"\" for empty text"));
    }
    Ok(Override { path, value: parse_value(value).map_err(|message| fail(&message))? })
}

/// A TOML value; a word that is none stands for itself.
fn parse_value(text: &str) -> Result<Value, String> {
    match ValueDeserializer::parse(text).and_then(<Value as Deserialize>::deserialize) {
        Ok(value) => Ok(value),
        // What starts as a list, a table or quoted text was meant as one.
        Err(error) if text.starts_with(['[', '{', '"', '\'']) => {
            Err(format!("is not a TOML value: {}", error.message().trim().replace('\n', "; ")))
        }
        Err(_) if text.starts_with(|c: char| c.is_ascii_digit() || ".+-".contains(c)) => {
            Ok(text.parse::<f64>().map_or_else(|_| Value::from(text), Value::from))
        }
        Err(_) => Ok(Value::from(text)),
    }
}

fn set(table: &mut Dict, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let mut inner = table.remove(key).and_then(Value::into_dict).unwrap_or_default();
            set(&mut inner, rest, value);
            table.insert(key.clone(), Value::from(inner));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of(argument: &str) -> String {
        let parsed = Settings::of_command_line(&[argument.to_owned()]).unwrap();
        format!("{:?}", parsed.overrides[0].value)
    }

    #[test]
    fn values_are_toml_and_bare_words_are_text() {
        for (argument, value) in [
            ("a=1e-4", "Num(F64(0.0001))"),
            ("a = 3", "Num(I64(3))"),
            ("a=.5", "Num(F64(0.5))"),
            ("a=last_n", "String(\"last_n\")"),
            ("a=\"1\"", "String(\"1\")"),
            ("a=../data/x=1.safetensors", "String(\"../data/x=1.safetensors\")"),
            ("a=true", "Bool(true)"),
            ("a=[1]", "Array([Num(I64(1))])"),
            ("a={type=\"last_n\",n=20}", "Dict({\"n\": Num(I64(20)), \"type\": String(\"last_n\")})"),
        ] {
            assert_eq!(value_of(argument), value, "{argument}");
        }
    }

    #[test]
    fn later_overrides_win_and_meet_in_one_tree() {
        let arguments = ["a.b=1", "a.c=2", "a.b=3"].map(str::to_owned);
        let tree = Settings::of_command_line(&arguments).unwrap().layer().values;
        assert_eq!(format!("{tree:?}"), r#"{"a": Dict({"b": Num(I64(3)), "c": Num(I64(2))})}"#);
    }

    fn refused(argument: &str) -> String {
        Settings::of_command_line(&[argument.to_owned()]).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_override_is_refused_with_advice() {
        for (argument, message) in [
            ("quick", "command line: \"quick\": expected KEY=VALUE, as in training.batch_size=32"),
            (
                "a..b=1",
                "command line: \"a..b=1\": has no valid key before the =; write a dotted path, as in model.block.n_head=4",
            ),
            ("a=", "command line: \"a=\": has no value after the =; write \"\" for empty text"),
        ] {
            assert_eq!(refused(argument), message);
        }
        let broken = refused("a=[1, ");
        assert!(broken.starts_with("command line: \"a=[1, \": is not a TOML value: "), "{broken}");
    }
}
