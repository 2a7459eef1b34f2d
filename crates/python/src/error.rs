//! Errors as Python's exceptions, of the same text and sorted as the command line sorts them: `ConfigError` where it ends with 2, `RunError`
//! where it ends with 1.

use std::sync::{Mutex, PoisonError};

use looped::config::ConfigError;
use looped::study::StudyError;
use looped::train::TrainError;
use pyo3::{PyErr, PyResult, Python, import_exception};

mod python {
    use super::import_exception;

    import_exception!(looped._errors, ConfigError);
    import_exception!(looped._errors, RunError);
}

/// What a task or a baseline raised last, and what is told of it: the cause of the error in whose text that stands.
static RAISED: Mutex<Option<(String, PyErr)>> = Mutex::new(None);

/// Keeps an exception, with what is told of it, as the cause of the error that follows from it.
pub(crate) fn keep_cause(told: String, raised: PyErr) {
    *RAISED.lock().unwrap_or_else(PoisonError::into_inner) = Some((told, raised));
}

/// Something that is raised as an exception.
pub(crate) trait Raise<T> {
    /// The value, or the exception.
    fn or_raise(self) -> PyResult<T>;
}

impl<T, E: Into<StudyError>> Raise<T> for Result<T, E> {
    fn or_raise(self) -> PyResult<T> {
        self.map_err(|error| exception(error.into()))
    }
}

/// What can't be asked for.
pub(crate) fn refused(message: String) -> PyErr {
    python::ConfigError::new_err(message)
}

/// An error as an exception.
pub(crate) fn exception(error: StudyError) -> PyErr {
    exception_with(error, "")
}

/// The same with something added to its text, unless it is about a config.
pub(crate) fn exception_with(error: StudyError, more: &str) -> PyErr {
    let text = format!("{error}{more}");
    match error {
        StudyError::Config(error) | StudyError::Train(TrainError::Config(error)) => of_config(&error),
        StudyError::Refused(_) | StudyError::Content { .. } | StudyError::Train(TrainError::Refused(_)) => {
            refused(text)
        }
        _ => with_cause(python::RunError::new_err(text)),
    }
}

/// Every finding stands for itself too: source, key, message, line and column.
fn of_config(error: &ConfigError) -> PyErr {
    let findings: Vec<(String, String, String, usize, usize)> = match error {
        ConfigError::Invalid(findings) => findings
            .iter()
            .map(|found| {
                let (line, column) = found.place.as_ref().map_or((0, 0), |place| (place.line, place.column));
                (found.source.clone(), found.path.clone(), found.message.clone(), line, column)
            })
            .collect(),
        ConfigError::File { .. } | ConfigError::Override(_) => Vec::new(),
    };
    with_cause(python::ConfigError::new_err((error.to_string(), findings)))
}

fn with_cause(error: PyErr) -> PyErr {
    let raised = RAISED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((told, cause)) = raised {
        Python::attach(|py| {
            if error.value(py).to_string().contains(&told) {
                error.set_cause(py, Some(cause));
            }
        });
    }
    error
}
