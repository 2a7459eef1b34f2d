//! Settings as a sweep file writes them, made into the `key=value` of the command line.

use std::fmt;

use toml::Value;

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
/// by one.
pub(super) fn settings(key: &str, value: &Value) -> Vec<Setting> {
    match value {
        Value::Table(table) if !table.is_empty() && !table.contains_key("type") => {
            let inner = table.iter().map(|(inner, value)| settings(&format!("{key}.{inner}"), value));
            inner.flatten().collect()
        }
        _ => vec![Setting { key: key.to_owned(), value: value.clone() }],
    }
}

/// Whether one of two keys holds the other, or is it.
#[must_use]
pub fn overlap(a: &str, b: &str) -> bool {
    let holds =
        |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    a == b || holds(a, b) || holds(b, a)
}

#[cfg(test)]
mod tests {
    use toml::Table;

    use super::*;

    fn told(text: &str) -> Vec<String> {
        let table: Table = toml::from_str(text).unwrap();
        let all = table.iter().flat_map(|(key, value)| settings(key, value));
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
    fn keys_overlap_where_one_holds_the_other() {
        assert!(overlap("a.b", "a.b") && overlap("a", "a.b") && overlap("a.b.c", "a.b"));
        assert!(!overlap("a.b", "a.bc") && !overlap("a.b", "a.c"));
    }
}
