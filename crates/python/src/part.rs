//! Classes of Python as parts of an experiment: found, made and called through the module `looped._parts`, which checks what they return.

use std::fmt;
use std::sync::OnceLock;

use looped::{Error, Problems, Result};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use serde_json::{Map, Value};

use crate::error::keep_cause;

/// What an experiment file says of a class.
#[derive(Clone, Copy)]
pub(crate) struct Class<'a> {
    /// `task` or `baseline`.
    pub(crate) kind: &'static str,
    pub(crate) module: &'a str,
    pub(crate) class: &'a str,
    /// The folder that the module is in, where Python doesn't find it by itself.
    pub(crate) path: Option<&'a str>,
    pub(crate) config: &'a Map<String, Value>,
}

/// The object that a class has become; made when it is first needed.
#[derive(Default)]
pub(crate) struct Instance(OnceLock<Py<PyAny>>);

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "made" } else { "not made yet" })
    }
}

/// Why there is no object: the key that is to blame, and what is wrong.
struct Unmade {
    key: String,
    why: String,
}

impl Class<'_> {
    /// As in `my_tasks.Sine`.
    pub(crate) fn label(&self) -> String {
        format!("{}.{}", self.module, self.class)
    }

    /// Reports why no object can be made of it.
    pub(crate) fn check(&self, instance: &Instance, problems: &mut Problems) {
        if let Err(Unmade { key, why }) = Python::attach(|py| self.made(py, instance).map(drop)) {
            problems.report(&key, why);
        }
    }

    /// Calls a function of `looped._parts` with the object, the label and what it asks for.
    pub(crate) fn call<'py>(
        &self,
        py: Python<'py>,
        instance: &Instance,
        function: &str,
        asked: impl IntoPyObject<'py>,
    ) -> Result<Bound<'py, PyAny>> {
        let made = self.made(py, instance).map_err(|Unmade { key, why }| {
            Error::Data(format!("the {} {}: {key}: {why}", self.kind, self.label()))
        })?;
        let parts = py.import("looped._parts").and_then(|parts| parts.getattr(function));
        parts
            .and_then(|function| function.call1((made, self.label(), asked)))
            .map_err(|error| Error::Data(told(py, error)))
    }

    fn made<'py>(&self, py: Python<'py>, instance: &Instance) -> Result<Bound<'py, PyAny>, Unmade> {
        if let Some(made) = instance.0.get() {
            return Ok(made.bind(py).clone());
        }
        let make = || -> PyResult<Bound<'py, PyAny>> {
            let config = py
                .import("json")?
                .call_method1("loads", (Value::Object(self.config.clone()).to_string(),))?;
            py.import("looped._parts")?
                .call_method1("make", (self.kind, self.module, self.class, self.path, config))
        };
        let made = make().map_err(|error| {
            let key = error.value(py).getattr("key").and_then(|key| key.extract()).unwrap_or_default();
            Unmade { key, why: told(py, error) }
        })?;
        // Another thread may have been quicker: then its object is the one.
        let _ = instance.0.set(made.clone().unbind());
        Ok(instance.0.get().map_or(made, |made| made.bind(py).clone()))
    }
}

/// The text of an exception; what led to it is kept as the cause of the error that is raised in the end.
fn told(py: Python<'_>, error: PyErr) -> String {
    let text = error.value(py).to_string();
    keep_cause(text.clone(), error.cause(py).unwrap_or(error));
    text
}

/// The numbers of a vector in float32, as `looped._parts` gives it.
pub(crate) fn vector(found: &Bound<'_, PyAny>) -> Result<Vec<f32>> {
    let numbers =
        || -> PyResult<Vec<f32>> { Ok(found.extract::<PyReadonlyArray1<'_, f32>>()?.as_slice()?.to_vec()) };
    numbers().map_err(|error| Error::Data(error.to_string()))
}
