//! placeholder
/// The JSON Schema of an experiment file.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(crate::Experiment).to_value()
}
