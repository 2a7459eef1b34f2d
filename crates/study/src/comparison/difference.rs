//! How one config differs from another, key by key.

use toml::{Table, Value};

/// Dotted keys and their values, in the order of the file.
pub(crate) type Settings = Vec<(String, String)>;

/// All settings of a resolved config but those which tell runs apart and not variants: name, seed, and the threads of the
/// machine that it ran on.
pub(crate) fn settings(config: &str) -> Result<Settings, toml::de::Error> {
    let mut found = Settings::new();
    flatten("", &toml::from_str::<Table>(config)?, &mut found);
    found.retain(|(key, _)| !["name", "seed", "training.threads"].contains(&key.as_str()));
    Ok(found)
}

fn flatten(prefix: &str, table: &Table, found: &mut Settings) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, found),
            _ => found.push((key, value.to_string())),
        }
    }
}

/// What `settings` says that `first` doesn't, as `key = value`.
pub(crate) fn difference(first: &Settings, settings: &Settings) -> Vec<String> {
    let value = |settings: &Settings, key: &str| {
        settings.iter().find(|(other, _)| other == key).map(|(_, value)| value.clone())
    };
    let changed = settings
        .iter()
        .filter(|(key, set)| value(first, key).as_ref() != Some(set))
        .map(|(key, set)| format!("{key} = {set}"));
    let gone = first
        .iter()
        .filter(|(key, _)| value(settings, key).is_none())
        .map(|(key, _)| format!("{key} not set"));
    changed.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_added_and_missing_keys_are_told_but_not_name_and_seed() {
        let first = settings("name='a'\nseed=1\n[m]\nn=1\nkind={type='full', operation='add'}").unwrap();
        let other = settings("name='b'\nseed=2\n[m]\nn=2\nkind={type='last', n=3}").unwrap();
        assert_eq!(
            difference(&first, &other),
            ["m.n = 2", "m.kind.type = \"last\"", "m.kind.n = 3", "m.kind.operation not set"]
        );
        assert!(difference(&first, &first).is_empty());
    }
}
