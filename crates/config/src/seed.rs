//! `{seed}` in the texts of a sweep's experiments: the run's own seed.

use figment::value::Value;

/// What stands for the seed in a text.
pub const SEED: &str = "{seed}";

/// Writes the seed where a text of the experiment has `{seed}`, but in its name, which all seeds share; whether one had it.
pub(crate) fn put_seed(experiment: &mut Value, seed: u64) -> bool {
    let Value::Dict(_, table) = experiment else { return false };
    let values = table.iter_mut().filter(|(key, _)| *key != "name");
    values.map(|(_, value)| put(value, seed)).sum::<usize>() > 0
}

/// How many texts had it.
fn put(value: &mut Value, seed: u64) -> usize {
    match value {
        Value::String(_, text) if text.contains(SEED) => {
            *text = text.replace(SEED, &seed.to_string());
            1
        }
        Value::Dict(_, table) => table.values_mut().map(|value| put(value, seed)).sum(),
        Value::Array(_, items) => items.iter_mut().map(|value| put(value, seed)).sum(),
        _ => 0,
    }
}
