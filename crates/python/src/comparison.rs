//! Finished runs side by side.

use std::path::PathBuf;

use looped::report::report::Part;
use looped::study::comparison::refuse_unless_free;
use looped::study::{CompareOptions, Comparison, ReportContext};
use pyo3::prelude::*;

use crate::error::Raise;

/// A comparison.
#[pyclass(frozen, name = "Comparison", module = "looped._looped")]
pub(crate) struct PyComparison {
    pub(crate) comparison: Comparison,
    pub(crate) words: ReportContext,
}

#[pymethods]
impl PyComparison {
    /// Compares the runs in these directories.
    #[staticmethod]
    fn of(
        py: Python<'_>,
        runs: Vec<PathBuf>,
        against: Option<String>,
        margin: f64,
        examples: Vec<usize>,
        evaluation: Option<String>,
    ) -> PyResult<Self> {
        let options = CompareOptions { against, margin, examples, evaluation };
        let comparison = py.detach(|| Comparison::with(&runs, &options)).or_raise()?;
        let words = ReportContext { title: "Runs compared".to_owned(), ..ReportContext::default() };
        Ok(Self { comparison, words })
    }

    /// As `looped compare` prints it.
    fn tables(&self) -> String {
        self.comparison.tables()
    }

    /// What a reader must know before the numbers.
    fn warnings(&self) -> Vec<String> {
        self.comparison.warnings()
    }

    /// As `comparison.json` has it.
    fn json(&self) -> String {
        self.comparison.numbers().to_string()
    }

    /// The report's figure of errors, as SVG.
    fn svg(&self) -> Option<String> {
        let parts =
            self.comparison.report(&self.words).sections.into_iter().flat_map(|section| section.parts);
        parts.into_iter().find_map(|part| match part {
            Part::Plot { name, figure, .. } if name == "error" => Some(figure.svg()),
            _ => None,
        })
    }

    /// Writes the report into a new folder.
    fn save(&self, py: Python<'_>, out: PathBuf) -> PyResult<()> {
        py.detach(|| {
            refuse_unless_free(&out)?;
            self.comparison.publish(&out, &self.words)
        })
        .or_raise()
    }
}
