//! Slurm's commands.

use std::io::ErrorKind;
use std::process::Command;

use crate::{Result, StudyError};

/// What a command printed.
///
/// # Errors
/// If it isn't there, or fails: in its own words.
pub(super) fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    // An array's tasks are named in full, however many.
    command.args(arguments).env("SLURM_BITSTR_LEN", "0");
    let done = command.output().map_err(|error| match error.kind() {
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

/// Slurm's version.
///
/// # Errors
/// If its commands aren't on this machine.
pub fn version() -> Result<String> {
    output("sbatch", &["--version"]).map(|said| said.trim().to_owned())
}

/// Puts the Slurm job that this process is back into the queue; nothing where it is none.
///
/// # Errors
/// If Slurm refuses.
pub fn requeue_this_job() -> Result<()> {
    match this_job(|name| std::env::var(name).ok()) {
        Some(job) => output("scontrol", &["requeue", &job]).map(|_| ()),
        None => Ok(()),
    }
}

/// The job that a process is, by its environment. The number of an array's last task is also that of the whole array, so tasks are named by
/// theirs.
fn this_job(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    match (variable("SLURM_ARRAY_JOB_ID"), variable("SLURM_ARRAY_TASK_ID")) {
        (Some(array), Some(task)) => Some(format!("{array}_{task}")),
        _ => variable("SLURM_JOB_ID"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_not_taken_for_its_array() {
        let of = |all: &[(&str, &str)]| {
            this_job(|name| {
                all.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let last = [("SLURM_JOB_ID", "7"), ("SLURM_ARRAY_JOB_ID", "7"), ("SLURM_ARRAY_TASK_ID", "2")];
        assert_eq!(of(&last), Some("7_2".to_owned()));
        assert_eq!(of(&last[..1]), Some("7".to_owned()));
        assert_eq!(of(&[]), None);
    }
}
