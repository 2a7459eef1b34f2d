//! From trained models to answers: all that is done with runs once they are trained, and with many of them at once.
//!
//! | step | here |
//! | --- | --- |
//! | An experiment is trained in a directory, and evaluated | [`run()`], [`resume()`], [`resume_with()`] |
//! | A finished training is scored as its experiment says, and leaves `eval.json`, the score of each prompt, plots and a report | [`finish()`], [`run_report`] |
//! | TensorBoard and MLflow show both | [`Events`], [`Tracker`] |
//! | Finished runs are set side by side, grouped into variants and averaged over seeds, and compared by their ratios | [`Comparison`], [`statistics`] |
//! | What runs have logged, and were scored, becomes a table for other programs | [`export`] |
//! | A sweep file becomes a plan, the plan becomes runs, and the runs a comparison | [`sweep`] |
//!
//! Nothing here prints. What happens meanwhile is reported to an observer, and errors are one type, [`StudyError`].
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed test is a panic"))]

pub mod comparison;
mod error;
mod events;
pub mod export;
mod figures;
mod finish;
mod floor;
mod followed;
mod name;
#[cfg(test)]
mod never_panics;
mod reopen;
mod run;
pub mod run_report;
pub mod statistics;
pub mod sweep;

pub use comparison::{CompareOptions, Comparison, ReportContext};
pub use error::{Result, StudyError};
pub use events::Events;
pub use finish::{finish, plan_of, save_evaluation, score};
pub use looped_mlflow::Tracker;
pub use looped_train::command_line;
pub use reopen::{Reopened, moved_data, reopen, tell_damaged};
pub use run::{RunEnd, begin, resume, resume_with, run, to_the_end};

/// The built-in parts, for the tests.
#[cfg(test)]
use {looped_blocks as _, looped_tasks as _};
