//! Models: of a run, or in training.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use looped::prelude::{EvalPlan, Trainer};
use looped::study::{StudyError, moved_data, plan_of, score};
use looped::train::{Asked, States, memory_of_scoring, refuse_what_does_not_fit};
use looped::{Device, Tensor};
use numpy::{PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{array, prompts};
use crate::error::{Raise, exception, refused};
use crate::evaluation::PyEvaluation;
use crate::run::opened;
use crate::work;

/// A trainer that several objects of Python share.
pub(crate) type Shared = Arc<Mutex<Trainer>>;

/// The trainer, for this thread alone.
///
/// Only to be called while Python is let go of: who has the trainer may be waiting for Python.
pub(crate) fn held(trainer: &Shared) -> PyResult<MutexGuard<'_, Trainer>> {
    match trainer.try_lock() {
        Ok(held) => Ok(held),
        // What a panic has left of a step is a trainer before or after it.
        Err(TryLockError::Poisoned(left)) => Ok(left.into_inner()),
        Err(TryLockError::WouldBlock) => Err(refused(
            "this model is at work already, in another thread or in a task that it asks for prompts"
                .to_owned(),
        )),
    }
}

/// A model, and the run that it is of.
#[pyclass(frozen, name = "Model", module = "looped._looped")]
pub(crate) struct PyModel {
    pub(crate) trainer: Shared,
    pub(crate) folder: Option<PathBuf>,
}

#[pymethods]
impl PyModel {
    /// The model of a run, at its newest good checkpoint.
    #[staticmethod]
    fn of_run(py: Python<'_>, run: PathBuf, device: &str) -> PyResult<Self> {
        let trainer = py.detach(|| opened(&run, device))?;
        Ok(Self { trainer: Arc::new(Mutex::new(trainer)), folder: Some(run) })
    }

    /// Predictions of every y after each loop: (loops, prompts, points), of classes (loops, prompts, points, classes).
    fn predict<'py>(
        &self,
        py: Python<'py>,
        xs: PyReadonlyArrayDyn<'py, f32>,
        ys: PyReadonlyArrayDyn<'py, f32>,
        loops: Option<usize>,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let (prompts, loops) = self.asked(py, &xs, &ys, loops)?;
        let found = py.detach(|| held(&self.trainer)?.model().predict_all(&prompts, loops).or_raise())?;
        let mut shape = vec![found.loops, found.prompts, found.points];
        shape.extend((found.width > 1).then_some(found.width));
        array(py, found.values, shape)
    }

    /// The state after each loop: (loops, prompts, tokens, width).
    fn states<'py>(
        &self,
        py: Python<'py>,
        xs: PyReadonlyArrayDyn<'py, f32>,
        ys: PyReadonlyArrayDyn<'py, f32>,
        loops: Option<usize>,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let (prompts, loops) = self.asked(py, &xs, &ys, loops)?;
        let found = py.detach(|| held(&self.trainer)?.model().states(&prompts, loops).or_raise())?;
        let States { values, loops, prompts, tokens, width } = found;
        array(py, values, vec![loops, prompts, tokens, width])
    }

    /// Scores on fresh prompts, beside the experiment's baselines.
    fn evaluate(
        &self,
        py: Python<'_>,
        loops: Option<usize>,
        prompts: Option<usize>,
        seed: Option<u64>,
        show: Option<Py<PyAny>>,
    ) -> PyResult<PyEvaluation> {
        let (found, asked) = work::away(py, show.as_ref(), |talk| {
            let trainer = held(&self.trainer)?;
            let experiment = trainer.experiment();
            if let Some(problem) = self.folder.as_deref().and_then(|folder| moved_data(folder, experiment)) {
                return Err(refused(problem));
            }
            let plan = plan_of(experiment);
            let plan = EvalPlan {
                loops: loops.unwrap_or(plan.loops),
                prompts: prompts.unwrap_or(plan.prompts),
                seed: seed.unwrap_or(plan.seed),
                ..plan
            };
            let baselines = &experiment.evaluation.baselines;
            let asked = Asked { prompts: plan.prompts, points: plan.points, loops: plan.loops };
            let needed = memory_of_scoring(experiment, asked, baselines).or_raise()?;
            let target = trainer.model().target();
            refuse_what_does_not_fit("this evaluation needs", needed, target, "prompts or loops")
                .or_raise()?;
            let trained = experiment.training.usual_loops();
            match score(&trainer, &plan, baselines, talk) {
                Ok((evaluation, _)) => Ok(Some(PyEvaluation { evaluation, trained })),
                Err(StudyError::Core(looped::Error::Stopped)) => Ok(None),
                Err(error) => Err(exception(error)),
            }
        });
        let stopped = || work::stopped(py, asked, "stopped; nothing was changed".to_owned());
        found?.ok_or_else(stopped)
    }

    /// A copy of the parameters, by the names of the published code.
    fn state_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let copied = py.detach(|| {
            let trainer = held(&self.trainer)?;
            let values = trainer.model().parameters().values();
            let own = values.layout().by_name().filter_map(|place| {
                Some((place.name.clone(), values.get(&place.name)?.to_vec(), place.dims.clone()))
            });
            PyResult::Ok(own.collect::<Vec<_>>())
        })?;
        let named = PyDict::new(py);
        for (name, values, dims) in copied {
            named.set_item(name, array(py, values, dims)?)?;
        }
        Ok(named)
    }

    /// Replaces all parameters.
    fn load_state_dict(
        &self,
        py: Python<'_>,
        state: BTreeMap<String, Bound<'_, PyArrayDyn<f32>>>,
    ) -> PyResult<()> {
        let mut values = BTreeMap::new();
        for (name, array) in state {
            let array = array.readonly();
            let tensor = Tensor::from_slice(array.as_slice()?, array.shape(), &Device::Cpu);
            values.insert(name, tensor.map_err(looped::Error::from).or_raise()?);
        }
        py.detach(|| held(&self.trainer)?.load(&values).or_raise())
    }

    /// Name and value of what is known of it without computing.
    fn facts(&self, py: Python<'_>) -> PyResult<(usize, usize, usize, usize, usize, String)> {
        py.detach(|| {
            let trainer = held(&self.trainer)?;
            let (model, experiment) = (trainer.model(), trainer.experiment());
            let (loops, config) = (experiment.training.usual_loops(), &experiment.model);
            let engine = format!("{} on {}", model.engine(), model.target().name());
            let parameters = model.parameters().count();
            Ok((trainer.steps_done(), loops, parameters, config.n_dims, config.n_positions, engine))
        })
    }
}

impl PyModel {
    /// Prompts that fit the model, and the loops: the usual ones where none are given.
    fn asked(
        &self,
        py: Python<'_>,
        xs: &PyReadonlyArrayDyn<'_, f32>,
        ys: &PyReadonlyArrayDyn<'_, f32>,
        loops: Option<usize>,
    ) -> PyResult<(looped::Prompts, usize)> {
        let (config, seed, usual) = py.detach(|| {
            let trainer = held(&self.trainer)?;
            let experiment = trainer.experiment();
            let usual = experiment.evaluation.loops.unwrap_or(experiment.training.usual_loops());
            PyResult::Ok((Arc::clone(&experiment.model), experiment.evaluation.seed, usual))
        })?;
        let loops = loops.unwrap_or(usual);
        if loops == 0 {
            return Err(refused("loops: is 0; allowed: at least 1".to_owned()));
        }
        Ok((prompts(xs, ys, &config, seed)?, loops))
    }
}
