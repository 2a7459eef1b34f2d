//! Settings as a sweep file writes them, made into the `key=value` of the command line.

use std::fmt;
use std::path::Path;

use toml::Value;

use crate::paths::{absolute, is_path_key};

/// A key of the experiment and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The key's dotted path.
    pub key: String,
    /// What it is set to.
    pub value: Value,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

/// What sets `key` to `value`: a table that names a part by its `type` replaces the part, any other sets its keys one
/// by one. Relative paths mean `folder`.
pub(super) fn settings(key: &str, value: &Value, folder: &Path) -> Vec<Setting> {
    match value {
        Value::Table(table) if !table.is_empty() && !table.contains_key("type") => {
            let inner = table.iter().map(|(inner, value)| settings(&format!("{key}.{inner}"), value, folder));
            inner.flatten().collect()
        }
        _ => {
            let mut value = value.clone();
            make_absolute(key.rsplit('.').next().unwrap_or(key), &mut value, folder);
            vec![Setting { key: key.to_owned(), value }]
        }
    }
}

/// Whether one of two keys holds the other, or is it.
#[must_use]
pub fn overlap(a: &str, b: &str) -> bool {
    let holds =
        |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    a == b || holds(a, b) || holds(b, a)
}

/// As [`paths::make_absolute`](crate::paths::make_absolute), for a value in the file's order.
fn make_absolute(key: &str, value: &mut Value, folder: &Path) {
    match value {
        Value::String(path) if is_path_key(key) => {
            if let Some(absolute) = absolute(path, folder) {
                *path = absolute;
            }
        }
        Value::Table(table) => table.iter_mut().for_each(|(key, value)| make_absolute(key, value, folder)),
        Value::Array(items) => items.iter_mut().filter_map(Value::as_table_mut).for_each(|table| {
            table.iter_mut().for_each(|(key, value)| make_absolute(key, value, folder));
        }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use toml::Table;

    use super::*;

    fn told(text: &str) -> Vec<String> {
        let table: Table = toml::from_str(text).unwrap();
        let all = table.iter().flat_map(|(key, value)| settings(key, value, Path::new("/sweeps")));
        all.map(|setting| setting.to_string()).collect()
    }

    #[test]
    fn parts_are_set_whole_and_other_tables_key_by_key() {
        assert_eq!(
            told("'model.injector' = { type = 'last_n', n = 20 }"),
            [r#"model.injector={ type = "last_n", n = 20 }"#]
        );
        assert_eq!(told("model.n_layer = 2\nmodel.n_embd = 8"), ["model.n_layer=2", "model.n_embd=8"]);
        assert_eq!(
            told("'training.learning_rate' = 1e-4\nname = 'a'"),
            ["training.learning_rate=0.0001", r#"name="a""#]
        );
    }

    #[test]
    fn paths_are_seen_from_the_sweep_file() {
        assert_eq!(told("'model.pretrained_path' = 'a.pt'"), [r#"model.pretrained_path="/sweeps/a.pt""#]);
        assert_eq!(
            told("task = { type = 'dataset', path = '/x.safetensors' }"),
            [r#"task={ type = "dataset", path = "/x.safetensors" }"#]
        );
        assert_eq!(
            told("'evaluation.baselines' = [{ type = 'published', path = 'b.safetensors' }]"),
            [r#"evaluation.baselines=[{ type = "published", path = "/sweeps/b.safetensors" }]"#]
        );
    }

    #[test]
    fn keys_overlap_where_one_holds_the_other() {
        assert!(overlap("a.b", "a.b") && overlap("a", "a.b") && overlap("a.b.c", "a.b"));
        assert!(!overlap("a.b", "a.bc") && !overlap("a.b", "a.c"));
    }
}
