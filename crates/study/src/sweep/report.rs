//! The comparison that a sweep ends with.

use std::path::{Path, PathBuf};

use looped_train::command_line;

use crate::comparison::MissingRun;
use crate::sweep::{FailedRun, PlannedRun};
use crate::{Comparison, ReportContext, Result};

/// Compares the runs of a sweep that haven't failed, tells of those that have, and leaves the report in `folder`; nothing if none is left.
///
/// `title` is the report's, and `command` repeats the sweep.
///
/// # Errors
/// If a run can't be read, or the report can't be written.
pub fn report(
    runs: &[PlannedRun],
    failed: &[FailedRun],
    title: &str,
    command: &str,
    folder: &Path,
) -> Result<Option<Comparison>> {
    let is_good = |run: &&PlannedRun| failed.iter().all(|failed| failed.folder != run.folder);
    let finished: Vec<PathBuf> = runs.iter().filter(is_good).map(|run| run.folder.clone()).collect();
    if finished.is_empty() {
        return Ok(None);
    }
    let comparison = Comparison::of(&finished)?.with_missing(failed.iter().map(missing).collect());
    comparison.publish(folder, &context(runs, failed, title, command))?;
    Ok(Some(comparison))
}

fn missing(run: &FailedRun) -> MissingRun {
    MissingRun { variant: run.variant.clone(), seed: run.seed, why: run.why.to_owned() }
}

fn context(runs: &[PlannedRun], failed: &[FailedRun], title: &str, command: &str) -> ReportContext {
    let missing: Vec<String> =
        failed.iter().map(|failed| format!("{} ({})", failed.label, failed.why)).collect();
    let mut notes = Vec::new();
    if !missing.is_empty() {
        notes.push(format!("These runs are missing here: {}.", missing.join("; ")));
    }
    let mut repeat = vec!["# All".to_owned(), command.to_owned(), String::new(), "# One by one".to_owned()];
    repeat.extend(runs.iter().map(|run| command_line(&["looped", "run", &run.config.display().to_string()])));
    ReportContext { title: title.to_owned(), notes, repeat }
}
