//! Steps that an engine's device makes whole: the update too.

use std::collections::BTreeMap;

use looped_core::{AdamUpdate, Holder, Pass, Rng};
use looped_curriculum::Stage;

use super::{StepReport, Trainer};
use crate::Result;

impl Trainer {
    /// A step whose update is made on the GPU as well, where parameters and moments stay; nothing where that can't be: without the CUDA
    /// engine, with another optimiser than Adam, with averaged weights, with depths of each prompt, or with another way through the loops than a window.
    pub(super) fn step_on_gpu(&mut self, stage: Stage) -> Result<Option<StepReport>> {
        let Some((betas, eps)) = self.updater.as_adam() else { return Ok(None) };
        let held = self.model.holder().map(Holder::is_held);
        if self.ranks.is_some()
            || self.averaged.is_some()
            || held.is_none()
            || self.experiment.training.depth_per_prompt
        {
            return Ok(None);
        }
        let rng = Rng::stream(self.experiment.seed, "training unroll", self.step as u64);
        let loops = self.experiment.training.step_loops(stage.loops, rng);
        let passes = loops.passes().unwrap_or_default();
        let [pass @ Pass { share: 1.0, .. }] = passes[..] else { return Ok(None) };
        self.refuse_unless_it_fits(stage)?;
        self.refuse_exchanged_data()?;
        let prompts = match self.drawn.take() {
            Some((step, at, prompts)) if (step, at) == (self.step, stage) => prompts,
            _ => self.prompts(stage)?,
        };
        if held == Some(false) {
            let Some(moments) = self.updater.moments() else { return Ok(None) };
            self.model.hold(moments, self.updater.updates())?;
        }
        let objective = self.experiment.task.objective();
        let learning_rate = self.learning_rate();
        let adam = AdamUpdate {
            learning_rate,
            betas,
            eps,
            weight_decay: self.updater.decay(),
            largest_norm: self.experiment.training.gradient_clip.unwrap_or(0.0),
        };
        let mut drawn = None;
        let mut meanwhile = || drawn = self.drawn_early();
        let found = self.model.update_on_device(&prompts, objective, pass, adam, &mut meanwhile)?;
        self.drawn = drawn;
        let (loss, grad_norm) = (found.loss, found.norm);
        let (step, notes) = (self.step, BTreeMap::new());
        let report = StepReport { step, stage, loss, grad_norm, learning_rate, skipped: false, notes };
        if let Some(skipped) = self.skip_unless_finite(&report)? {
            return Ok(Some(skipped));
        }
        self.skipped.in_a_row = 0;
        self.step += 1;
        Ok(Some(report))
    }

    /// The prompts of the step after this one; nothing if there is none, or they can't be had: then that step says so.
    fn drawn_early(&self) -> Option<(usize, Stage, looped_core::Prompts)> {
        let step = self.step + 1;
        if step >= self.experiment.training.train_steps {
            return None;
        }
        let stage = self.experiment.stage(step);
        self.prompts_of(step, stage).ok().map(|prompts| (step, stage, prompts))
    }

    /// Takes parameters and moments back from the GPU, if they are held there.
    pub(super) fn leave_gpu(&mut self) -> Result<()> {
        if let Some((moments, updates)) = self.model.held_moments()? {
            self.updater.set_moments(moments, updates);
            self.model.release()?;
        }
        Ok(())
    }
}
