//! Command lines as a reader can paste them.

use std::path::Path;

pub(crate) use looped_study::command_line;

/// The command that resumes a run.
pub(crate) fn resume_by(run: &Path) -> String {
    command_line(&["looped", "resume", &run.display().to_string()])
}
