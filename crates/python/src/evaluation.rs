//! What an evaluation found.

use std::path::PathBuf;

use looped::config::load_run;
use looped::eval::Evaluation;
use looped::study::{StudyError, run_report};
use looped::train::FileError;
use pyo3::prelude::*;

use crate::error::{Raise, exception, refused};

/// An evaluation, as `eval.json` has it.
#[pyclass(frozen, name = "Evaluation", module = "looped._looped")]
pub(crate) struct PyEvaluation {
    pub(crate) evaluation: Evaluation,
    /// The loops that the model was trained with.
    pub(crate) trained: usize,
}

#[pymethods]
impl PyEvaluation {
    /// What a run ended with.
    #[staticmethod]
    fn of_run(run: PathBuf) -> PyResult<Self> {
        let trained = load_run(run.join("config.toml"), &[]).or_raise()?.experiment.training.usual_loops();
        let path = run.join("eval.json");
        let text = std::fs::read(&path)
            .map_err(|source| FileError { action: "read", path: path.clone(), source })
            .or_raise()?;
        let evaluation = serde_json::from_slice(&text)
            .map_err(|error| exception(StudyError::Content { path, message: error.to_string() }))?;
        Ok(Self { evaluation, trained })
    }

    /// All of it, as JSON; what isn't finite is null.
    fn json(&self) -> PyResult<String> {
        serde_json::to_string(&self.evaluation).or_raise()
    }

    /// As `looped eval` prints it.
    fn tables(&self) -> String {
        [self.evaluation.table(), self.evaluation.convergence_table()].join("\n")
    }

    /// What its reader should know: baselines that failed, a model that is worse than none.
    fn warnings(&self) -> Vec<String> {
        self.evaluation.warnings()
    }

    /// The figure of a report, over `examples` or `loops`, as SVG.
    fn svg(&self, over: &str) -> PyResult<String> {
        match over {
            "examples" => Ok(run_report::over_examples(&self.evaluation).svg()),
            "loops" => Ok(run_report::over_loops(&self.evaluation, self.trained).svg()),
            other => Err(refused(format!("over: is {other:?}; allowed: examples, loops"))),
        }
    }
}
