//! The config of a run that has begun: what may still change, and whether somebody has edited it.

use std::path::Path;

use looped_config::{Difference, Experiment, differences};

use crate::files::write_atomically;
use crate::run_dir::CONFIG;
use crate::{Provenance, Result, RunDir, TrainError};

impl RunDir {
    /// The experiment of this run, with `key=value` overrides that leave the steps already done as they are: more steps,
    /// other intervals, threads, another evaluation. Beside it what is new against the session before.
    ///
    /// # Errors
    /// If `config.toml` can't be used or was edited, or an override would have changed the steps already done.
    pub fn experiment(&self, overrides: &[String]) -> Result<(Experiment, Vec<Difference>)> {
        let there = looped_config::load_run(self.config(), &[])?.experiment;
        let begun = Provenance::read(self.path())?.and_then(|provenance| provenance.experiment());
        if let Some(begun) = &begun {
            refuse_edited(self.path(), begun, &there)?;
        }
        let wanted = looped_config::load_run(self.config(), overrides)?.experiment;
        refuse_another_training(&differences(&there, &wanted))?;
        refuse_other_rates(&there, &wanted, self.checkpoints().steps_claimed())?;
        let changed = differences(begun.as_ref().unwrap_or(&there), &wanted);
        Ok((wanted, changed))
    }

    /// Replaces `config.toml`, whole or not at all.
    ///
    /// # Errors
    /// If it can't be written; then it holds what it held.
    pub fn rewrite_config(&self, experiment: &Experiment) -> Result<()> {
        let text = experiment
            .to_toml()
            .map_err(|error| TrainError::Refused(format!("the config cannot be written: {error}")))?;
        write_atomically(&self.config(), text.as_bytes())
    }
}

/// Refuses a `config.toml` that isn't the one that the run's steps were made with.
pub(crate) fn refuse_edited(run: &Path, begun: &Experiment, there: &Experiment) -> Result<()> {
    let matters = |edit: &Difference| edit.changes_training() && !edit.may_be_resumed() && !edit.is_path();
    let edits: Vec<String> =
        differences(begun, there).iter().filter(|edit| matters(edit)).map(ToString::to_string).collect();
    if edits.is_empty() {
        return Ok(());
    }
    let config = run.join(CONFIG);
    Err(TrainError::Refused(format!(
        "{}: was edited after the run began: {}. The run's steps were not made with that: undo it here, and use a copy \
         of the file for a new run",
        config.display(),
        edits.join("; ")
    )))
}

/// Refuses another length of training where the schedule had given the steps already done other learning rates for it.
fn refuse_other_rates(there: &Experiment, wanted: &Experiment, done: usize) -> Result<()> {
    let (there, wanted) = (&there.training, &wanted.training);
    let Some(schedule) = wanted.schedule.as_ref().filter(|_| there.train_steps != wanted.train_steps) else {
        return Ok(());
    };
    let same = |step: &usize| there.learning_rate_at(*step) == wanted.learning_rate_at(*step);
    let Some(step) = (0..done).find(|step| !same(step)) else { return Ok(()) };
    Err(TrainError::Refused(format!(
        "training.train_steps: is {} in this run, and `{}` made the learning rate of step {step} by it: {}, and in a \
         training of {} steps {}. Begin a new run; one with `wsd` can be made longer until its decay begins",
        there.train_steps,
        schedule.typetag_name(),
        there.learning_rate_at(step),
        wanted.train_steps,
        wanted.learning_rate_at(step),
    )))
}

fn refuse_another_training(changes: &[Difference]) -> Result<()> {
    let refused: Vec<String> = changes
        .iter()
        .filter(|change| !change.may_be_resumed())
        .map(|Difference { key, from, .. }| match from {
            Some(value) => format!("{key}: is {value} in this run"),
            None => format!("{key}: is not set in this run"),
        })
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(TrainError::Refused(format!(
        "{}; the steps already done were made so. A run can be resumed with another training.train_steps, \
         training.threads, training.ranks, training.log_every_steps, save_every_steps, keep_every_steps, validate_every_steps or \
         evaluation.*; for anything else begin a new run",
        refused.join("\n")
    )))
}
