//! How a ramp is written: a table, or a number where the value stays.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::Ramp;

/// A number that stays, or a ramp's table.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Form {
    /// A value that stays.
    Constant(#[schemars(range(min = 1))] usize),
    /// A value that rises.
    Ramp(Table),
}

/// A value that rises by `inc` every `interval` steps, from `start` to at most `end`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// Value at step 0.
    #[schemars(range(min = 1))]
    start: usize,
    /// Largest value.
    #[schemars(range(min = 1))]
    end: usize,
    /// Added every `interval` steps; needed where `end` is above `start`.
    #[serde(default)]
    inc: Option<usize>,
    /// Steps between two increments; needed where `end` is above `start`.
    #[serde(default)]
    #[schemars(range(min = 1))]
    interval: Option<usize>,
}

impl TryFrom<Form> for Ramp {
    type Error = String;

    fn try_from(form: Form) -> Result<Self, String> {
        let Table { start, end, inc, interval } = match form {
            Form::Constant(value) => return Ok(Self::constant(value)),
            Form::Ramp(table) => table,
        };
        let constant = Self::constant(start);
        let given = |key: &str, value: Option<usize>, default: usize| match value {
            None if end > start => Err(format!(
                "{key} is missing: from {start} to {end} it must be said by how much the value rises (inc), and every how \
                 many steps (interval)"
            )),
            value => Ok(value.unwrap_or(default)),
        };
        Ok(Self {
            start,
            end,
            inc: given("inc", inc, constant.inc)?,
            interval: given("interval", interval, constant.interval)?,
        })
    }
}
