//! An experiment as TOML: complete, in the order of the file's documentation, and read back to itself.

use std::fmt::Write as _;

use toml::{Table, Value};

use crate::Experiment;

/// Tables above this depth have a header; those below stand on one line.
const HEADERS: usize = 2;

impl Experiment {
    /// The TOML text that loads to this experiment, with every key that has a value.
    ///
    /// # Errors
    /// If a part holds what TOML can't: an integer beyond 64 bits, a path that isn't UTF-8.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let mut text = String::new();
        write_table(&Table::try_from(self)?, &mut Vec::new(), &mut text);
        Ok(text)
    }
}

fn write_table(table: &Table, path: &mut Vec<String>, text: &mut String) {
    let has_header = |value: &Value| value.is_table() && path.len() < HEADERS;
    let (tables, lines): (Vec<_>, Vec<_>) = table.iter().partition(|(_, value)| has_header(value));
    for (key, value) in lines {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{} = {value}", quoted(key));
    }
    for (key, value) in tables {
        path.push(quoted(key));
        let _ = writeln!(text, "\n[{}]", path.join("."));
        if let Value::Table(inner) = value {
            write_table(inner, path, text);
        }
        path.pop();
    }
}

/// A key, in quotes if it needs them; TOML escapes text as JSON does.
fn quoted(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        serde_json::Value::from(key).to_string()
    }
}
