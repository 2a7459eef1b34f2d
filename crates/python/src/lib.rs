//! `looped._looped`: what the Python package in `python/looped` is built on.
//!
//! Everything here is thin: it takes and gives numbers, text and paths, and lets go of Python while it computes. The classes that a user
//! meets are written in Python, over these.

mod arrays;
mod baseline;
mod command;
mod comparison;
mod error;
mod evaluation;
mod experiment;
mod model;
mod part;
mod run;
mod sweep;
mod task;
mod trainer;
mod work;

#[pyo3::pymodule]
mod _looped {
    #[pymodule_export]
    use crate::command::{main, started_by};
    #[pymodule_export]
    use crate::comparison::PyComparison;
    #[pymodule_export]
    use crate::evaluation::PyEvaluation;
    #[pymodule_export]
    use crate::experiment::PyExperiment;
    #[pymodule_export]
    use crate::model::PyModel;
    #[pymodule_export]
    use crate::run::{metrics, resume, run};
    #[pymodule_export]
    use crate::sweep::sweep;
    #[pymodule_export]
    use crate::trainer::{PyGradients, PyTrainer};
}
