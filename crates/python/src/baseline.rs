//! Baselines that are written in Python.

use looped::{Baseline, Problems, Prompt, Result, schemars, typetag};
use numpy::PyArray1;
use pyo3::Python;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::part::{Class, Instance, vector};

/// An estimator that is a class of Python.
///
/// An object is made of the class with what `config` holds. Its `predict(xs, ys)` takes a prompt's xs, of the shape (points, dims), and ys, of the
/// shape (points,), and returns a prediction of each y from the points before it: of the first one 0.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PythonBaseline {
    /// The module that has the class, as `import` names it.
    module: String,
    /// The class.
    class: String,
    /// The folder that the module is in, where Python doesn't find it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "path"))]
    path: Option<String>,
    /// Its name in tables and files; not given: the class's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    name: Option<String>,
    /// What the class is called with, by name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    config: Map<String, Value>,
    #[serde(skip)]
    instance: Instance,
}

impl PythonBaseline {
    fn class(&self) -> Class<'_> {
        let Self { module, class, path, config, .. } = self;
        Class { kind: "baseline", module, class, path: path.as_deref(), config }
    }
}

#[typetag::serde(name = "python")]
impl Baseline for PythonBaseline {
    fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.class.clone())
    }

    fn check(&self, problems: &mut Problems) {
        self.class().check(&self.instance, problems);
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        let Prompt { xs, ys, dims } = prompt;
        Python::attach(|py| {
            let (xs, ys) = (PyArray1::from_slice(py, xs), PyArray1::from_slice(py, ys));
            vector(&self.class().call(py, &self.instance, "predict", (xs, ys, dims))?)
        })
    }
}
looped::register!(Baseline, "python", PythonBaseline);
