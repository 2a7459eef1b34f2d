//! The names that users give to what a run keeps.

use crate::{Result, StudyError};

/// Refuses what can't name a file.
pub(crate) fn refuse_bad_name(name: &str, what: &str) -> Result<()> {
    let plain = |c: char| c.is_alphanumeric() || "-_.=+".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
        let message = format!("{name:?} can't name {what}; allowed: letters, digits and -_.=+");
        return Err(StudyError::Refused(message));
    }
    Ok(())
}
