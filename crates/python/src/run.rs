//! Runs: trained, resumed, and read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use looped::Watch;
use looped::prelude::Experiment;
use looped::study::{self, Reopened, RunEnd};
use looped::train::{
    self, Cost, Metrics, Observer, Record, RunDir, TrainError, Trainer, device_for, device_of_run,
    refuse_what_does_not_fit, resolve,
};
use numpy::IntoPyArray;
use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{Raise, exception_with};
use crate::experiment::PyExperiment;
use crate::work::{self, Talk};

/// Trains and evaluates an experiment in a new directory.
///
/// Raises KeyboardInterrupt where it was asked to stop: what was done is saved.
#[pyfunction]
pub(crate) fn run(
    py: Python<'_>,
    experiment: &Bound<'_, PyExperiment>,
    out: PathBuf,
    device: &str,
    show: Option<Py<PyAny>>,
) -> PyResult<()> {
    let experiment = &experiment.get().experiment;
    let (trainer, run) = py.detach(|| begin(experiment, &out, device))?;
    to_the_end(py, trainer, &run, show.as_ref())
}

fn begin(experiment: &Experiment, out: &Path, device: &str) -> PyResult<(Trainer, RunDir)> {
    let mut settled = Experiment::from_toml(&experiment.to_toml().or_raise()?).or_raise()?;
    let target = device_for(device, &settled).or_raise()?.target;
    resolve(&mut settled, &target).or_raise()?;
    refuse_what_does_not_fit(
        "this experiment needs",
        Cost::of(&settled).or_raise()?.memory,
        &target,
        "training.batch_size, training.n_loop_window, model.n_embd or evaluation.prompts",
    )
    .or_raise()?;
    study::begin(Arc::new(settled), out, target, cli::build()).or_raise()
}

/// Goes on with a run from its newest good checkpoint; returns what its user should know.
///
/// Raises KeyboardInterrupt where it was asked to stop: what was done is saved.
#[pyfunction]
pub(crate) fn resume(
    py: Python<'_>,
    run: PathBuf,
    settings: Vec<String>,
    device: &str,
    show: Option<Py<PyAny>>,
) -> PyResult<Vec<String>> {
    let mut notes = Vec::new();
    let reopened = py.detach(|| {
        let target = device_of_run(device, &run)?.target;
        study::reopen(&run, &settings, target, cli::build(), &mut |note| notes.push(note))
    });
    let Reopened { run, trainer, is_finished } = reopened.or_raise()?;
    if !is_finished {
        to_the_end(py, trainer, &run, show.as_ref())?;
    }
    Ok(notes)
}

fn to_the_end(py: Python<'_>, trainer: Trainer, run: &RunDir, show: Option<&Py<PyAny>>) -> PyResult<()> {
    let total = trainer.experiment().training.train_steps;
    let done = trainer.steps_done();
    let ((ended, seen), asked) = work::away(py, show, |talk| {
        let mut seen = Seen { talk, done, total, doubts: Vec::new() };
        let ended = study::to_the_end(trainer, run, &mut seen);
        (ended, (seen.done, seen.doubts))
    });
    let (done, doubts) = seen;
    for doubt in doubts {
        let text = std::ffi::CString::new(doubt).unwrap_or_default();
        PyErr::warn(py, &py.get_type::<PyUserWarning>(), &text, 2)?;
    }
    let folder = run.path().display();
    match ended {
        Ok(RunEnd::Finished(_)) => asked.map_or(Ok(()), Err),
        Ok(RunEnd::Stopped) => {
            let what = if done < total {
                format!("stopped after {done} steps and saved")
            } else {
                format!("all {done} steps are done and saved; stopped before the evaluation")
            };
            Err(work::stopped(
                py,
                asked,
                format!("{what}; resume by looped.Run({:?}).resume()", folder.to_string()),
            ))
        }
        Err(error) => Err(exception_with(error, &format!("\nThe run directory is {folder}"))),
    }
}

/// Sees a training, and passes on the wish to stop.
struct Seen<'a> {
    talk: &'a Talk,
    done: usize,
    total: usize,
    doubts: Vec<String>,
}

impl Observer for Seen<'_> {
    fn stepped(&mut self, step: usize, _: f64) {
        self.done = step + 1;
        self.talk.say("training", self.done, self.total);
    }

    fn recorded(&mut self, record: &Record) -> Result<(), TrainError> {
        let validation = record.validation_loss_last_stage;
        let validation = validation.map_or(String::new(), |loss| format!(", validation loss {loss:.4}"));
        self.talk.add(format!("loss {:.4}{validation}, {} loops", record.loss, record.stage.loops));
        Ok(())
    }

    fn doubted(&mut self, step: usize, what: &str) {
        self.doubts.push(format!("step {}: {what}", step + 1));
    }

    fn told(&mut self, line: &str) {
        self.doubts.extend(line.strip_prefix("warning: ").map(str::to_owned));
    }

    fn wants_stop(&self) -> bool {
        self.talk.stopped()
    }

    fn evaluation(&self) -> &dyn Watch {
        self.talk
    }
}

/// A number of a step, if it has it.
type Real = fn(&Record) -> Option<f64>;

/// The columns of `metrics.jsonl`; NaN where a step has no such number.
#[pyfunction]
pub(crate) fn metrics(py: Python<'_>, run: PathBuf) -> PyResult<Bound<'_, PyDict>> {
    let records = Metrics::read(&run.join("metrics.jsonl")).or_raise()?;
    let columns = PyDict::new(py);
    let whole = |of: fn(&Record) -> usize| {
        records.iter().map(|record| i64::try_from(of(record)).unwrap_or(i64::MAX)).collect::<Vec<_>>()
    };
    let real = |of: Real| records.iter().map(|record| of(record).unwrap_or(f64::NAN)).collect::<Vec<_>>();
    columns.set_item("step", whole(|record| record.step).into_pyarray(py))?;
    columns.set_item("loss", real(|record| Some(record.loss)).into_pyarray(py))?;
    columns.set_item("dims", whole(|record| record.stage.dims).into_pyarray(py))?;
    columns.set_item("points", whole(|record| record.stage.points).into_pyarray(py))?;
    columns.set_item("loops", whole(|record| record.stage.loops).into_pyarray(py))?;
    columns.set_item("learning_rate", real(|record| Some(record.learning_rate)).into_pyarray(py))?;
    columns.set_item("grad_norm", real(|record| Some(record.grad_norm)).into_pyarray(py))?;
    columns.set_item("steps_per_second", real(|record| Some(record.steps_per_second)).into_pyarray(py))?;
    columns.set_item("cpu_seconds", real(|record| record.cpu_seconds).into_pyarray(py))?;
    columns.set_item("skipped", whole(|record| record.skipped).into_pyarray(py))?;
    let sometimes: [(&str, Real); 3] = [
        ("validation_loss_last_stage", |record| record.validation_loss_last_stage),
        ("validation_loss_ema", |record| record.validation_loss_ema),
        ("validation_loss", |record| record.validation_loss),
    ];
    for (name, of) in sometimes {
        if records.iter().any(|record| of(record).is_some()) {
            columns.set_item(name, real(of).into_pyarray(py))?;
        }
    }
    let mut notes: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (i, record) in records.iter().enumerate() {
        for (name, value) in &record.notes {
            notes.entry(name).or_insert_with(|| vec![f64::NAN; records.len()])[i] = value.unwrap_or(f64::NAN);
        }
    }
    for (name, values) in notes {
        columns.set_item(format!("notes/{name}"), values.into_pyarray(py))?;
    }
    Ok(columns)
}

/// The run of a directory at its newest good checkpoint, on a device.
pub(crate) fn opened(run: &Path, device: &str) -> PyResult<Trainer> {
    Ok(train::Opened::newest(run, train::device(device).or_raise()?).or_raise()?.trainer)
}
