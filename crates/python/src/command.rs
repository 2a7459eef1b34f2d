//! The `looped` command of the package: the same program, within Python, so that it knows tasks that are written in Python.

use std::ffi::OsString;
use std::path::PathBuf;

use pyo3::prelude::*;

/// Runs a command line and returns its exit code; the first word is the program's name.
#[pyfunction]
pub(crate) fn main(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| cli::run(arguments))
}

/// Says which program starts the command again, for the runs of a sweep.
#[pyfunction]
pub(crate) fn started_by(program: PathBuf, arguments: Vec<String>) {
    cli::Program::is(program, arguments);
}
