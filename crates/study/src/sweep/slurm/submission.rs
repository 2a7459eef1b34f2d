//! A sweep that was handed to Slurm.

use std::fs;
use std::path::{Path, PathBuf};

use looped_config::sweep::SlurmConfig;
use looped_train::{At as _, command_line, write_atomically};
use serde::{Deserialize, Serialize};

use super::FOLDER;
use super::command::{output, version};
use super::script::Script;
use super::state::{self, RunAt};
use crate::sweep::{PlannedRun, Program, RunState, SweepRecord};
use crate::{Result, StudyError};

/// What was handed in last.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Submission {
    /// The number of the array's job.
    pub array: String,
    /// The number of the job that compares the runs.
    pub report: String,
    /// What was asked for.
    pub config: SlurmConfig,
    /// `--device` of the runs.
    pub device: String,
}

/// Hands the runs of a sweep that aren't finished to Slurm, and the comparison after them. `program` is copied into the folder, where nothing
/// that is built later changes it; one that an interpreter runs isn't.
///
/// # Errors
/// If Slurm isn't there or refuses, nothing is left to be done, or the folder can't be written.
pub fn submit(folder: &Path, config: &SlurmConfig, device: &str, program: &Program) -> Result<Submission> {
    let folder = &fs::canonicalize(folder).at("find", folder)?;
    let record = SweepRecord::read(folder)?;
    let runs = record.runs(folder)?;
    let open: Vec<usize> = (0..runs.len()).filter(|&i| runs[i].state() != RunState::Finished).collect();
    if open.is_empty() {
        return Err(StudyError::Refused(format!(
            "all {} runs are finished; compare them by `{}`",
            runs.len(),
            command_line(&["looped", "sweep", &folder.display().to_string(), "--report"])
        )));
    }
    version()?;
    let of_slurm = folder.join(FOLDER);
    fs::create_dir_all(&of_slurm).at("create", &of_slurm)?;
    let own = if program.is_whole() { copied(&program.path, &of_slurm)? } else { program.clone() };
    let name = record.title.strip_prefix("Sweep ").unwrap_or(&record.title);
    let script = Script { name, folder, config, program: &own };
    let (array, report) = (of_slurm.join("array.sh"), of_slurm.join("report.sh"));
    write_atomically(&array, script.array(runs.len(), device).as_bytes())?;
    write_atomically(&report, script.report().as_bytes())?;
    let most = config.max_parallel.map_or_else(String::new, |most| format!("%{most}"));
    let tasks = format!("--array={}{most}", ranges(&open));
    let array = handed_in(&[&tasks, &array.display().to_string()])?;
    let after = format!("--dependency=afterany:{array}");
    let report = handed_in(&[&after, &report.display().to_string()]).inspect_err(|_| {
        // All of it or nothing: nobody would know of an array without its submission.
        let _ = output("scancel", &[&array]);
    })?;
    let (config, device) = (config.clone(), device.to_owned());
    let submission = Submission { array, report, config, device };
    write_atomically(&place(folder), &serde_json::to_vec_pretty(&submission)?)?;
    Ok(submission)
}

impl Submission {
    /// Whether a sweep's folder was ever handed in.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        place(folder).is_file()
    }

    /// The last one of a sweep's folder.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = place(folder);
        if !Self::is_in(folder) {
            return Err(StudyError::Refused(format!(
                "the sweep in {} was never handed to Slurm: `{}` does",
                folder.display(),
                command_line(&[
                    "looped",
                    "sweep",
                    "SWEEP.toml",
                    "--out",
                    &folder.display().to_string(),
                    "--executor",
                    "slurm"
                ])
            )));
        }
        let text = fs::read(&path).at("read", &path)?;
        serde_json::from_slice(&text)
            .map_err(|error| StudyError::Content { path, message: error.to_string() })
    }

    /// How far each run is, and where it is.
    ///
    /// # Errors
    /// If Slurm or the folder can't be asked.
    pub fn state(&self, folder: &Path) -> Result<Vec<(PlannedRun, RunAt)>> {
        let runs = SweepRecord::read(folder)?.runs(folder)?;
        state::of(folder, runs, &self.array)
    }

    /// Whether Slurm still has something to do for it: a run, or the comparison.
    ///
    /// # Errors
    /// If Slurm can't be asked.
    pub fn is_in_work(&self) -> Result<bool> {
        let jobs = [self.array.as_str(), self.report.as_str()];
        Ok(jobs
            .into_iter()
            .map(state::queue)
            .collect::<Result<Vec<_>>>()?
            .iter()
            .any(|tasks| !tasks.is_empty()))
    }

    /// Takes it out of the queue. Runs in work save, and can be handed in again.
    ///
    /// # Errors
    /// If Slurm refuses.
    pub fn cancel(&self) -> Result<()> {
        // Runs in work get SIGTERM, and are killed only after the cluster's `KillWait`, 30 seconds where nothing else is said.
        output("scancel", &[&self.array, &self.report]).map(|_| ())
    }
}

fn place(folder: &Path) -> PathBuf {
    folder.join(FOLDER).join("submission.json")
}

/// The number of the job that `sbatch` makes.
fn handed_in(arguments: &[&str]) -> Result<String> {
    let told = output("sbatch", &[&["--parsable"], arguments].concat())?;
    // `NUMBER`, or `NUMBER;CLUSTER`.
    let number = told.lines().last().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(StudyError::Refused(format!("sbatch told no job's number, but {told:?}")));
    }
    Ok(number.to_owned())
}

/// The program in the sweep's folder. A copy that a run uses now is left as it is, under another name.
fn copied(program: &Path, folder: &Path) -> Result<Program> {
    let (to, half) = (folder.join("looped"), folder.join("looped.tmp"));
    fs::copy(program, &half).at("copy", program)?;
    fs::rename(&half, &to).at("write", &to)?;
    Ok(Program { path: to, arguments: Vec::new() })
}

/// Sorted numbers, as `0-3,7`.
fn ranges(numbers: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => parts.push((number, number)),
        }
    }
    let word = |(first, last): &(usize, usize)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    parts.iter().map(word).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_written_short() {
        assert_eq!(ranges(&[0, 1, 2, 3, 7, 9, 10]), "0-3,7,9-10");
        assert_eq!(ranges(&[4]), "4");
    }
}
