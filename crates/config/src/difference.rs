//! How one experiment differs from another, key by key.

use std::fmt;

use schemars::schema_for;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Experiment;
use crate::paths::is_path_key;

/// A key that two experiments set differently.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The dotted path of the key.
    pub key: String,
    /// Its value in the first; nothing where it isn't set.
    pub from: Option<Value>,
    /// Its value in the second.
    pub to: Option<Value>,
}

/// The keys that `from` and `to` set differently, in the order of the file.
#[must_use]
pub fn differences(from: &Experiment, to: &Experiment) -> Vec<Difference> {
    let (from, to) = (leaves(from), leaves(to));
    let value = |leaves: &Leaves, key: &str| {
        leaves.iter().find(|(other, _)| other == key).map(|(_, value)| value.clone())
    };
    let changed = from
        .iter()
        .map(|(key, _)| key)
        .chain(to.iter().map(|(key, _)| key).filter(|key| from.iter().all(|(other, _)| other != *key)));
    changed
        .map(|key| Difference { key: key.clone(), from: value(&from, key), to: value(&to, key) })
        .filter(|difference| difference.from != difference.to)
        .collect()
}

impl Difference {
    /// Whether it makes another training of it: not how a run is named, judged, logged, saved, and on what it is computed
    /// where that was left open.
    #[must_use]
    pub fn changes_training(&self) -> bool {
        let left_open = |value: &Option<Value>| value.as_ref().is_none_or(|value| value == "auto");
        match self.key.as_str() {
            "name" | "training.threads" | "training.ranks" => false,
            "training.engine" => !left_open(&self.from) && !left_open(&self.to),
            key => !key.starts_with("evaluation.") && !is_interval(key),
        }
    }

    /// Whether a run may be resumed with it, because the steps already done would have been the same.
    #[must_use]
    pub fn may_be_resumed(&self) -> bool {
        let key = self.key.as_str();
        ["training.train_steps", "training.threads", "training.ranks"].contains(&key)
            || is_interval(key)
            || key.starts_with("evaluation.")
    }

    /// Whether it only says where a file is.
    #[must_use]
    pub fn is_path(&self) -> bool {
        is_path_key(&self.key, schema_for!(Experiment).as_value())
    }
}

/// As in `training.threads is 1, was 2`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<Value>| value.as_ref().map_or("not set".to_owned(), Value::to_string);
        write!(f, "{} is {}, was {}", self.key, shown(&self.to), shown(&self.from))
    }
}

fn is_interval(key: &str) -> bool {
    ["log", "save", "keep", "validate"].iter().any(|what| key == format!("training.{what}_every_steps"))
}

/// Dotted keys with their values; a list is one value.
type Leaves = Vec<(String, Value)>;

fn leaves(experiment: &Experiment) -> Leaves {
    let mut found = Leaves::new();
    // What can't be serialised couldn't have been read.
    flatten("", serde_json::to_value(experiment).unwrap_or_default(), &mut found);
    found
}

fn flatten(key: &str, value: Value, found: &mut Leaves) {
    match value {
        Value::Null => {}
        Value::Object(table) => {
            for (name, value) in table {
                flatten(&if key.is_empty() { name } else { format!("{key}.{name}") }, value, found);
            }
        }
        value => found.push((key.to_owned(), value)),
    }
}
