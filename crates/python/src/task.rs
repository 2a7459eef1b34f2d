//! Tasks that are written in Python.

use looped::{Error, ModelDims, Objective, Problems, Prompts, Request, Result, Rng, Task, schemars, typetag};
use pyo3::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::part::{Class, Instance, vector};

/// Prompts that a class of Python draws.
///
/// An object is made of the class with what `config` holds. Its `sample(rng, prompts, points, dims, n_dims)` returns xs, of the shape (prompts,
/// points, n_dims), and ys, of the shape (prompts, points). All that is random must come from `rng`, a `numpy.random.Generator` that is the same
/// for a seed and a step: then a resumed training ends with the same bits.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PythonTask {
    /// The module that has the class, as `import` names it.
    module: String,
    /// The class.
    class: String,
    /// The folder that the module is in, where Python doesn't find it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "path"))]
    path: Option<String>,
    /// What is learnt.
    #[serde(default, skip_serializing_if = "Loss::is_usual")]
    objective: Loss,
    /// What squared errors are divided by in reports; not given: the coordinates in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    normaliser: Option<f64>,
    /// What the class is called with, by name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    config: Map<String, Value>,
    #[serde(skip)]
    instance: Instance,
}

/// What can be learnt of points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Loss {
    /// The squared error.
    #[default]
    SquaredError,
    /// The cross-entropy of the sign of y, which is -1 or 1.
    CrossEntropy,
}

impl Loss {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl PythonTask {
    fn class(&self) -> Class<'_> {
        let Self { module, class, path, config, .. } = self;
        Class { kind: "task", module, class, path: path.as_deref(), config }
    }
}

#[typetag::serde(name = "python")]
impl Task for PythonTask {
    fn check(&self, _: &ModelDims, request: Request, problems: &mut Problems) {
        self.class().check(&self.instance, problems);
        // What it draws is looked at before anything is trained on it.
        if problems.is_empty()
            && let Err(error) = self.sample(request, &mut Rng::stream(0, "check", 0))
        {
            problems.report("", error.to_string());
        }
    }

    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        let seed = (rng.bits(), rng.bits());
        let Request { prompts, points, dims, n_dims, .. } = request;
        let asked = (seed, prompts, points, dims, n_dims);
        let [xs, ys] = Python::attach(|py| {
            let found = self.class().call(py, &self.instance, "sample", asked)?;
            let part = |i: usize| found.get_item(i).map_err(|error| Error::Data(error.to_string()));
            Ok::<_, Error>([vector(&part(0)?)?, vector(&part(1)?)?])
        })?;
        Ok(Prompts::pairs(xs, ys, [prompts, points, n_dims]))
    }

    fn fingerprint(&self) -> Result<Option<String>> {
        Python::attach(|py| {
            let found = self.class().call(py, &self.instance, "fingerprint", ())?;
            found.extract().map_err(|error: PyErr| Error::Data(error.to_string()))
        })
    }

    fn objective(&self) -> Objective {
        match self.objective {
            Loss::SquaredError => Objective::SquaredError,
            Loss::CrossEntropy => Objective::CrossEntropy,
        }
    }

    fn normaliser(&self, dims: usize) -> f64 {
        self.normaliser.unwrap_or(dims as f64)
    }
}
looped::register!(Task, "python", PythonTask);
