//! What MLflow takes as names and values.

use serde_json::Value;

/// The longest name of a parameter or metric.
const NAME: usize = 250;
/// The longest value of a parameter: later servers take 6000, those before 2.9 take 500.
const PARAM: usize = 500;
/// The longest value of a tag.
const TAG: usize = 5000;

/// A name of a parameter or metric: letters, digits, `_`, `-`, `.`, space and `/`.
pub(crate) fn name(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "_-. /".contains(c) { c } else { '_' };
    // All of one byte each by now.
    text.chars().map(allowed).take(NAME).collect()
}

/// A parameter's value.
pub(crate) fn param(text: &str) -> String {
    cut(text, PARAM)
}

/// A tag's value.
pub(crate) fn tag(text: &str) -> String {
    cut(text, TAG)
}

/// The beginning of a text that is longer than `most` bytes.
fn cut(text: &str, most: usize) -> String {
    const MARK: &str = "...";
    if text.len() <= most {
        return text.to_owned();
    }
    let most = most - MARK.len();
    let kept: String =
        text.char_indices().take_while(|(at, c)| at + c.len_utf8() <= most).map(|(_, c)| c).collect();
    kept + MARK
}

/// The dotted keys of nested tables with their values in words. A list is one value.
pub(crate) fn flattened(config: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    flatten("", config, &mut found);
    found
}

fn flatten(key: &str, value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(table) => {
            for (inner, value) in table {
                flatten(&if key.is_empty() { inner.clone() } else { format!("{key}.{inner}") }, value, found);
            }
        }
        Value::String(text) => found.push((name(key), param(text))),
        value => found.push((name(key), param(&value.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_flattened_and_lists_are_one_value() {
        let config = serde_json::json!({
            "name": "a run", "model": { "block": { "type": "lstm" }, "n_layer": 2 }, "seeds": [1, 2], "none": null
        });
        let expected =
            [("name", "a run"), ("model.block.type", "lstm"), ("model.n_layer", "2"), ("seeds", "[1,2]")];
        assert_eq!(flattened(&config), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn names_and_values_keep_to_the_limits() {
        assert_eq!(name("evaluation/net (64 wide)"), "evaluation/net _64 wide_");
        assert_eq!(name(&"x".repeat(300)).len(), NAME);
        assert_eq!(param(&"x".repeat(500)), "x".repeat(500));
        let cut = param(&"ä".repeat(300));
        assert!(cut.len() <= PARAM && cut.ends_with("ä..."), "{cut}");
    }
}
