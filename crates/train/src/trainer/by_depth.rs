//! A step whose prompts loop each as often as is drawn for it.

use std::collections::BTreeMap;

use looped_core::{Prompts, Rng, StepLoops};
use looped_curriculum::Stage;

use super::Trainer;

impl Trainer {
    /// The step's prompts, those that loop equally often together, with what part of the step's loss theirs is.
    pub(super) fn by_depth(&self, stage: Stage, prompts: Prompts) -> Vec<(StepLoops, Prompts, f64)> {
        let (experiment, step) = (&self.experiment, self.step as u64);
        let rng = Rng::stream(experiment.seed, "training unroll", step);
        let Some(depths) = experiment.depths(self.step) else {
            return vec![(experiment.training.step_loops(stage.loops, rng), prompts, 1.0)];
        };
        let mut alike: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        depths
            .into_iter()
            .enumerate()
            .for_each(|(prompt, loops)| alike.entry(loops).or_default().push(prompt));
        let all = prompts.targets() as f64;
        let mut done = 0;
        let group = |(loops, which): (usize, Vec<usize>)| {
            // No two prompts of a step share their noise.
            let own = prompts.select(&which).with_noise(prompts.noise.after(done));
            done += which.len();
            let share = own.targets() as f64 / all;
            (experiment.training.step_loops(loops, rng.fork(loops as u64)), own, share)
        };
        // Prompts without a target have no loss.
        alike.into_iter().map(group).filter(|(.., share)| *share > 0.0).collect()
    }
}
