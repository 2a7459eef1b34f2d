//! The keys of a part in words, for help.

use looped_core::Part;
use serde::Serialize;
use serde_json::Value;

use crate::wording::expected;

/// A key of a part's table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeyHelp {
    /// The key.
    pub key: String,
    /// What it must be, as in `an integer, at least 1`.
    pub expected: String,
    /// Its value where it isn't given; nothing if it must be, or if leaving it out means something of its own.
    pub default: Option<Value>,
    /// Whether it must be given.
    pub required: bool,
    /// What it says.
    pub help: String,
}

/// The keys of a part beside `type`, in the order of its declaration.
#[must_use]
pub fn part_keys(part: &Part) -> Vec<KeyHelp> {
    let schema = (part.schema)().to_value();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let describe = |(key, property): (&String, &Value)| KeyHelp {
        key: key.clone(),
        expected: expected(property, &schema),
        default: property.get("default").filter(|value| !value.is_null()).cloned(),
        required: required.iter().any(|name| name == key),
        help: property["description"]
            .as_str()
            .unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
    };
    properties.map(describe).collect()
}
