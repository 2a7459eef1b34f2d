//! Training step by step.

use std::sync::{Arc, Mutex};

use looped::prelude::{Stage, Trainer};
use looped::train::{StepGradients, StepReport, device_for};
use numpy::{IntoPyArray, PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{Raise, refused};
use crate::experiment::PyExperiment;
use crate::model::{PyModel, Shared, held};

/// Points, dims and loops of a step, where they aren't the experiment's.
type OwnStage = (Option<usize>, Option<usize>, Option<usize>);

/// An experiment in training.
#[pyclass(frozen, name = "Trainer", module = "looped._looped")]
pub(crate) struct PyTrainer {
    trainer: Shared,
}

/// A parameter's name, the bounds of its numbers in the vector of all, and its shape.
type Place = (String, usize, usize, Vec<usize>);

/// The first half of a step.
#[pyclass(frozen, name = "Gradients", module = "looped._looped")]
pub(crate) struct PyGradients {
    found: StepGradients,
    /// The gradients of all parameters, which Python may change.
    #[pyo3(get)]
    flat: Py<PyArray1<f32>>,
}

#[pymethods]
impl PyGradients {
    /// Where each parameter's gradient lies.
    fn places(&self) -> Vec<Place> {
        let places = self.found.gradients.layout().places().iter();
        places.map(|own| (own.name.clone(), own.range.start, own.range.end, own.dims.clone())).collect()
    }

    #[getter]
    fn loss(&self) -> f64 {
        self.found.loss
    }

    /// Points, dims, loops.
    #[getter]
    fn stage(&self) -> (usize, usize, usize) {
        let Stage { dims, points, loops } = self.found.stage;
        (points, dims, loops)
    }
}

#[pymethods]
impl PyTrainer {
    #[new]
    fn new(py: Python<'_>, experiment: &Bound<'_, PyExperiment>, device: &str) -> PyResult<Self> {
        let experiment = &experiment.get().experiment;
        let trainer = py.detach(|| {
            let target = device_for(device, experiment)?.target;
            Trainer::new(Arc::clone(experiment), target)
        });
        Ok(Self { trainer: Arc::new(Mutex::new(trainer.or_raise()?)) })
    }

    /// A whole step.
    fn step<'py>(&self, py: Python<'py>, stage: OwnStage) -> PyResult<Bound<'py, PyDict>> {
        let report = py.detach(|| {
            let mut trainer = held(&self.trainer)?;
            let stage = at(&trainer, stage);
            trainer.step_at(stage).or_raise()
        })?;
        told(py, &report)
    }

    /// The first half of a step.
    fn gradients(&self, py: Python<'_>, stage: OwnStage) -> PyResult<PyGradients> {
        let (found, flat) = py.detach(|| {
            let mut trainer = held(&self.trainer)?;
            let stage = at(&trainer, stage);
            let found = trainer.gradients(stage).or_raise()?;
            let flat = found.gradients.to_vec();
            PyResult::Ok((found, flat))
        })?;
        Ok(PyGradients { found, flat: flat.into_pyarray(py).unbind() })
    }

    /// The second half of a step.
    fn apply<'py>(
        &self,
        py: Python<'py>,
        gradients: &Bound<'py, PyGradients>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let gradients = gradients.get();
        let mut found = gradients.found.clone();
        {
            let flat = gradients.flat.bind(py).readonly();
            found.gradients.copy_from_slice(flat.as_slice()?);
        }
        let report = py.detach(|| held(&self.trainer)?.apply(found).or_raise())?;
        told(py, &report)
    }

    /// The loss on the validation prompts.
    fn validation_loss(&self, py: Python<'_>) -> PyResult<f64> {
        py.detach(|| held(&self.trainer)?.validation_loss().or_raise())
    }

    /// The learning rate of the next step.
    #[getter]
    fn learning_rate(&self, py: Python<'_>) -> PyResult<f64> {
        py.detach(|| Ok(held(&self.trainer)?.learning_rate()))
    }

    #[setter]
    fn set_learning_rate(&self, py: Python<'_>, rate: f64) -> PyResult<()> {
        if !(rate.is_finite() && rate >= 0.0) {
            return Err(refused(format!("learning_rate: is {rate}; allowed: finite, not negative")));
        }
        py.detach(|| {
            held(&self.trainer)?.set_learning_rate(rate);
            Ok(())
        })
    }

    /// Steps done, and whether those are all.
    fn progress(&self, py: Python<'_>) -> PyResult<(usize, bool)> {
        py.detach(|| {
            let trainer = held(&self.trainer)?;
            Ok((trainer.steps_done(), trainer.is_done()))
        })
    }

    /// The model that is trained.
    fn model(&self) -> PyModel {
        PyModel { trainer: Arc::clone(&self.trainer), folder: None }
    }
}

/// The next step's stage, with what is given otherwise.
fn at(trainer: &Trainer, (points, dims, loops): OwnStage) -> Stage {
    let own = trainer.stage();
    Stage {
        points: points.unwrap_or(own.points),
        dims: dims.unwrap_or(own.dims),
        loops: loops.unwrap_or(own.loops),
    }
}

fn told<'py>(py: Python<'py>, report: &StepReport) -> PyResult<Bound<'py, PyDict>> {
    let StepReport { step, stage, loss, grad_norm, learning_rate, skipped, notes } = report;
    let told = PyDict::new(py);
    told.set_item("step", step)?;
    told.set_item("loss", loss)?;
    told.set_item("points", stage.points)?;
    told.set_item("dims", stage.dims)?;
    told.set_item("loops", stage.loops)?;
    told.set_item("learning_rate", learning_rate)?;
    told.set_item("grad_norm", grad_norm)?;
    told.set_item("skipped", skipped)?;
    told.set_item("notes", notes)?;
    Ok(told)
}
