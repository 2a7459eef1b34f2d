//! Command lines about runs, as a reader can paste them.

use std::path::Path;

pub use looped_config::command_line;

/// The command that resumes a run.
#[must_use]
pub fn resume_by(run: &Path) -> String {
    command_line(&["looped", "resume", &run.display().to_string()])
}
