//! A trainer as one of several ranks.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Device;
use looped_config::Experiment;
use looped_core::{Flat, Found, Prompts, StepLoops};

use super::Trainer;
use crate::{Checkpoint, Ranks, Result, TrainError};

impl Trainer {
    /// Trains together with other processes from here on, as their rank 0, which tells the others what is trained and from where.
    ///
    /// A step's loss, gradient and update are those of all ranks; what the unroll notes is of this rank's prompts alone.
    ///
    /// # Errors
    /// If the experiment asks for another number of ranks, or for what several can't do, or another rank is gone.
    pub fn lead(&mut self, mut ranks: Ranks) -> Result<()> {
        self.refuse_these(&ranks)?;
        let config = self.experiment.to_toml().map_err(|error| TrainError::Refused(error.to_string()))?;
        for mut part in [vec![config.into_bytes()], self.checkpoint()?.parts()?].concat() {
            ranks.tell(&mut part)?;
        }
        self.ranks = Some(ranks);
        Ok(())
    }

    /// The trainer of a rank that isn't 0, as rank 0 tells; nothing if that one trains nothing. [`follow`](crate::follow) takes it to its end.
    ///
    /// # Errors
    /// If the model can't be built here, or another rank is gone.
    pub fn following(mut ranks: Ranks) -> Result<Option<Self>> {
        let mut part = || {
            let mut part = Vec::new();
            ranks.tell(&mut part).map(|()| part)
        };
        let config = part()?;
        if config.is_empty() {
            ranks.end();
            return Ok(None);
        }
        let parts = [part()?, part()?, part()?, part()?];
        let config = String::from_utf8(config).map_err(|error| TrainError::Refused(error.to_string()))?;
        let experiment = Experiment::from_toml(&config)?;
        let mut trainer = Self::resumed(Arc::new(experiment), &Device::Cpu, &Checkpoint::of_parts(&parts)?)?;
        trainer.refuse_these(&ranks)?;
        trainer.ranks = Some(ranks);
        Ok(Some(trainer))
    }

    fn refuse_these(&self, ranks: &Ranks) -> Result<()> {
        let training = &self.experiment.training;
        let (asked, count) = (training.ranks, ranks.count());
        if asked != count {
            return Err(TrainError::Refused(format!(
                "training.ranks: is {asked}, and the model is trained by {count} processes"
            )));
        }
        if !self.model.target().is_cpu() {
            let device = self.model.target().name();
            return Err(TrainError::Refused(format!(
                "training.ranks: is {asked}, and the device {device}; several ranks train on `cpu`"
            )));
        }
        Ok(())
    }

    /// Ends what it does together with other ranks.
    pub(crate) fn part(&mut self) {
        if let Some(mut ranks) = self.ranks.take() {
            ranks.end();
        }
    }

    /// The processes that train the model together, if it isn't this one alone.
    #[must_use]
    pub fn ranks(&self) -> Option<&Ranks> {
        self.ranks.as_ref()
    }

    pub(super) fn refuse_alone(&self) -> Result<()> {
        match (self.experiment.training.ranks, &self.ranks) {
            (1, _) | (_, Some(_)) => Ok(()),
            (asked, None) => {
                Err(TrainError::Refused(format!("training.ranks: is {asked}, and this process is alone")))
            }
        }
    }

    /// Of a step's groups of prompts, what is this rank's part, with what part of the step's loss that is.
    pub(super) fn own_part(&self, groups: Vec<(StepLoops, Prompts, f64)>) -> Vec<(StepLoops, Prompts, f64)> {
        let Some(ranks) = &self.ranks else { return groups };
        let part = |(group, (loops, prompts, share)): (usize, (StepLoops, Prompts, f64))| {
            let own = prompts.slice(ranks.part(prompts.prompts, group));
            let share = share * own.targets() as f64 / prompts.targets() as f64;
            (loops, own, share)
        };
        groups.into_iter().enumerate().map(part).filter(|(.., share)| *share > 0.0).collect()
    }

    /// What all ranks have found together.
    pub(super) fn of_all(&mut self, found: Option<Found>) -> Result<Option<Found>> {
        let Some(ranks) = &mut self.ranks else { return Ok(found) };
        let nothing = || Found {
            loss: 0.0,
            gradients: Flat::zeros(self.model.parameters().layout().clone()),
            notes: BTreeMap::new(),
        };
        let mut found = found.unwrap_or_else(nothing);
        ranks.sum(&mut found, self.step)?;
        Ok(Some(found))
    }
}
