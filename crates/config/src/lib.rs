//! From an experiment file and overrides to a validated experiment.

mod experiment;

pub use experiment::{EvaluationConfig, Experiment, Training};

/// Interim.
pub struct Loaded {
    /// e
    pub experiment: Experiment,
    /// n
    pub notes: Vec<String>,
}

/// Interim.
pub fn load(path: &std::path::Path, overrides: &[String]) -> Result<Loaded, String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let mut table: toml::Table = text.parse().map_err(|e: toml::de::Error| e.to_string())?;
    for o in overrides {
        let t: toml::Table = o.parse().map_err(|e: toml::de::Error| e.to_string())?;
        fn merge(a: &mut toml::Table, b: toml::Table) {
            for (k, v) in b {
                match (a.get_mut(&k), v) {
                    (Some(toml::Value::Table(x)), toml::Value::Table(y)) => merge(x, y),
                    (_, v) => {
                        a.insert(k, v);
                    }
                }
            }
        }
        merge(&mut table, t);
    }
    Ok(Loaded { experiment: table.try_into().map_err(|e: toml::de::Error| e.to_string())?, notes: vec![] })
}

impl Experiment {
    /// Interim.
    pub fn to_toml(&self) -> Result<String, String> {
        toml::to_string(self).map_err(|e| e.to_string())
    }
}
