//! The runs of a sweep as its folder keeps them, so that other processes need not plan it again.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use looped_train::{At as _, command_line, write_atomically};
use serde::{Deserialize, Serialize};

use super::Terms;
use crate::sweep::{Plan, PlannedRun};
use crate::{Result, StudyError};

/// Its file in the sweep's folder.
const FILE: &str = "plan.json";

/// The form of the file.
const FORMAT: u32 = 1;

/// A planned sweep.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SweepRecord {
    format: u32,
    /// What its report is called.
    pub title: String,
    /// The command that planned it.
    pub command: String,
    /// How long its runs are held.
    pub lease: Terms,
    runs: Vec<Recorded>,
}

/// A run, without the places that depend on where the folder is.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Recorded {
    variant: String,
    seed: u64,
    label: String,
    stem: String,
}

impl SweepRecord {
    /// Writes down what is to be known of a plan, in its folder.
    ///
    /// A plan that only adds to the one that is there changes nothing for those who are at work on that: its runs keep their places, by whose
    /// numbers tasks are named that wait in a queue, and its leases their length, which all who share a folder must count alike.
    ///
    /// # Errors
    /// If the file that is there can't be read, or can't be written.
    pub fn write(plan: &Plan, title: String, command: String) -> Result<Self> {
        let run = |run: &PlannedRun| Recorded {
            variant: run.variant.clone(),
            seed: run.seed,
            label: run.label.clone(),
            stem: run.stem(),
        };
        let mut runs: Vec<Recorded> = plan.runs.iter().map(run).collect();
        let mut lease = Terms::from_environment();
        if Self::is_in(&plan.out) {
            let earlier = Self::read(&plan.out)?;
            let places = earlier.runs.iter().enumerate().map(|(i, run)| (run.stem.as_str(), i));
            let places: HashMap<&str, usize> = places.collect();
            // Those that are new stay in their order, behind the others.
            runs.sort_by_key(|run| places.get(run.stem.as_str()).copied().unwrap_or(usize::MAX));
            lease = earlier.lease;
        }
        let record = Self { format: FORMAT, title, command, lease, runs };
        write_atomically(&plan.out.join(FILE), &serde_json::to_vec_pretty(&record)?)?;
        Ok(record)
    }

    /// Whether a folder is that of a planned sweep.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }

    /// The sweep in a folder.
    ///
    /// # Errors
    /// If there is none, or another version wrote it.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let refused = |what: String| StudyError::Content { path: path.clone(), message: what };
        if !path.is_file() {
            return Err(StudyError::Refused(format!(
                "{} is not the folder of a sweep that others do runs of: it has no {FILE}; plan one by `{}`",
                folder.display(),
                command_line(&[
                    "looped",
                    "sweep",
                    "SWEEP.toml",
                    "--out",
                    &folder.display().to_string(),
                    "--plan"
                ])
            )));
        }
        let text = fs::read(&path).at("read", &path)?;
        let record: Self = serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))?;
        if record.format != FORMAT {
            let format = record.format;
            return Err(refused(format!("has the format {format}, and this version reads {FORMAT}")));
        }
        Ok(record)
    }

    /// Its runs, in the plan's order, with the configs they were planned with.
    ///
    /// # Errors
    /// If a config can't be read.
    pub fn runs(&self, folder: &Path) -> Result<Vec<PlannedRun>> {
        let planned = |run: &Recorded| {
            let config = folder.join("configs").join(format!("{}.toml", run.stem));
            Ok(PlannedRun {
                label: run.label.clone(),
                variant: run.variant.clone(),
                seed: run.seed,
                folder: folder.join("runs").join(&run.stem),
                log: folder.join("logs").join(format!("{}.log", run.stem)),
                toml: fs::read_to_string(&config).at("read", &config)?,
                config,
            })
        };
        self.runs.iter().map(planned).collect()
    }
}
