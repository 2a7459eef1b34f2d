//! Experiments.

use std::path::PathBuf;
use std::sync::Arc;

use looped::config::{Loaded, load, load_run};
use looped::prelude::Experiment;
use looped::train::Cost;
use pyo3::prelude::*;

use crate::error::Raise;

/// A validated experiment.
#[pyclass(frozen, name = "Experiment", module = "looped._looped")]
pub(crate) struct PyExperiment {
    pub(crate) experiment: Arc<Experiment>,
    /// What was translated, and settings that can't act.
    #[pyo3(get)]
    notes: Vec<String>,
}

impl From<Loaded> for PyExperiment {
    fn from(Loaded { experiment, notes }: Loaded) -> Self {
        Self { experiment: Arc::new(experiment), notes }
    }
}

#[pymethods]
impl PyExperiment {
    /// Reads a file and those it extends, with `key=value` settings on top.
    #[staticmethod]
    fn load(path: PathBuf, settings: Vec<String>) -> PyResult<Self> {
        load(path, &settings).or_raise().map(Into::into)
    }

    /// Reads the config of a run, whose data may have moved.
    #[staticmethod]
    fn of_run(run: PathBuf) -> PyResult<Self> {
        load_run(run.join("config.toml"), &[]).or_raise().map(Into::into)
    }

    /// Reads the text of a TOML file.
    #[staticmethod]
    fn from_toml(text: &str) -> PyResult<Self> {
        let experiment = Experiment::from_toml(text).or_raise()?;
        Ok(Self { experiment: Arc::new(experiment), notes: Vec::new() })
    }

    #[getter]
    fn name(&self) -> &str {
        &self.experiment.name
    }

    #[getter]
    fn seed(&self) -> u64 {
        self.experiment.seed
    }

    /// The complete config, as TOML.
    fn toml(&self) -> PyResult<String> {
        self.experiment.to_toml().or_raise()
    }

    /// The complete config, as JSON.
    fn json(&self) -> PyResult<String> {
        serde_json::to_string(&*self.experiment).or_raise()
    }

    /// Parameters (without positions), floating-point operations of the training, and bytes of memory.
    fn cost(&self) -> PyResult<(u64, f64, f64)> {
        let Cost { parameters, flops, memory, .. } = Cost::of(&self.experiment).or_raise()?;
        Ok((parameters, flops, memory))
    }
}
