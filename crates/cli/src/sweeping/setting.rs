//! Settings as a sweep file writes them, made into the `key=value` of the command line.

use std::fmt;
use std::path::Path;

use toml::{Table, Value};

/// A key of the experiment and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Setting {
    pub(crate) key: String,
    pub(crate) value: Value,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

/// What sets `key` to `value`: a table that names a part by its `type` replaces the part, any other sets its keys one
/// by one. Relative paths mean `folder`.
pub(crate) fn settings(key: &str, value: &Value, folder: &Path) -> Vec<Setting> {
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

/// Whether one of two keys holds the other.
pub(crate) fn overlap(a: &str, b: &str) -> bool {
    let holds =
        |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    a == b || holds(a, b) || holds(b, a)
}

fn make_absolute(key: &str, value: &mut Value, folder: &Path) {
    match value {
        Value::String(path) if (key == "path" || key.ends_with("_path")) && !path.is_empty() => {
            let absolute = std::path::absolute(folder.join(&*path)).ok();
            // A folder whose name isn't UTF-8 can't stand in TOML; the path stays as it is.
            if let Some(absolute) = absolute.as_deref().and_then(Path::to_str) {
                absolute.clone_into(path);
            }
        }
        Value::Table(table) => make_table_absolute(table, folder),
        _ => {}
    }
}

fn make_table_absolute(table: &mut Table, folder: &Path) {
    table.iter_mut().for_each(|(key, value)| make_absolute(key, value, folder));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test is a panic")]
mod tests {
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
    }

    #[test]
    fn keys_overlap_where_one_holds_the_other() {
        assert!(overlap("a.b", "a.b") && overlap("a", "a.b") && overlap("a.b.c", "a.b"));
        assert!(!overlap("a.b", "a.bc") && !overlap("a.b", "a.c"));
    }
}
