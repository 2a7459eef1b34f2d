//! Slurm's commands.

use std::io::ErrorKind;
use std::process::Command;

use crate::{Result, StudyError};

/// What a command printed.
///
/// # Errors
/// If it isn't there, or fails: in its own words.
pub(super) fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let done = Command::new(program).args(arguments).output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => StudyError::Refused(format!(
            "{program} isn't on this machine: a sweep is handed to Slurm where its commands are; --executor local does the runs here"
        )),
        _ => StudyError::Refused(format!("{program}: {error}")),
    })?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let said = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    Err(StudyError::Refused(format!("{program}: {said}")))
}

/// Puts the Slurm job that this process is back into the queue; nothing where it is none.
///
/// # Errors
/// If Slurm refuses.
pub fn requeue_this_job() -> Result<()> {
    match std::env::var("SLURM_JOB_ID") {
        Ok(job) => output("scontrol", &["requeue", &job]).map(|_| ()),
        Err(_) => Ok(()),
    }
}
