//! Settings that are allowed and can't act: told, so that nobody waits for what won't come.

use looped_core::FirstState;
use looped_curriculum::Ramp;

use crate::Experiment;

impl Experiment {
    /// A line for each setting that does nothing, or less than it says.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let curriculum = &self.training.curriculum;
        let loops = curriculum.loops.filter(|_| self.training.follows_curriculum());
        let ramps = [
            ("dims", Some(curriculum.dims), true),
            ("points", Some(curriculum.points), true),
            ("loops", loops, self.evaluation.loops.is_none()),
        ];
        let mut notes: Vec<String> = ramps
            .into_iter()
            .filter_map(|(key, ramp, evaluated)| self.unreached(key, ramp?, evaluated))
            .collect();
        if curriculum.loops.is_some() && loops.is_none() {
            notes.push(
                "training.curriculum.loops: isn't used, since training.depth draws the loops".to_owned(),
            );
        }
        notes.extend(self.idle_injector());
        notes.extend(self.unlearnt_loops());
        notes.extend(loops.and_then(|loops| self.unlearnt_state(loops)));
        if self.task.scores_on_training_prompts() {
            let task = self.task.typetag_name();
            notes.push(format!("task: the {task} has no validation_path, so scores are of the prompts that the model is trained on"));
        }
        notes
    }

    /// A ramp whose end is never reached.
    fn unreached(&self, key: &str, ramp: Ramp, evaluated: bool) -> Option<String> {
        let last = ramp.at(self.training.train_steps.saturating_sub(1));
        let key = format!("training.curriculum.{key}");
        let why = if ramp.inc == 0 {
            format!("{key}.inc is 0")
        } else {
            format!("training.train_steps is {}", self.training.train_steps)
        };
        let then = if evaluated { format!(", and is evaluated at {}", ramp.end) } else { String::new() };
        (last < ramp.end).then(|| {
            format!(
                "{key}.end: is {}, which is never reached, since {why}: the model trains up to {last}{then}",
                ramp.end
            )
        })
    }

    /// An evaluation in loops of a model that isn't trained in any.
    fn unlearnt_loops(&self) -> Option<String> {
        let loops = self.evaluation.loops.filter(|&loops| loops > 1 && self.training.most_loops() == 1)?;
        Some(format!(
            "evaluation.loops: is {loops}, and every step of the training has one loop: the scores are those of a model that never was looped"
        ))
    }

    /// A first state that is learnt, and that no gradient reaches.
    fn unlearnt_state(&self, loops: Ramp) -> Option<String> {
        let (window, fewest) = (self.training.n_loop_window, loops.start);
        let reached =
            self.training.loss().has_own_way() || self.training.unroll().reaches_first_state(fewest, window);
        (self.model.first_state == FirstState::Learned && !reached).then(|| {
            format!(
                "model.first_state: is learned, and no gradient reaches it: every step has {fewest} loops or more, and training.n_loop_window is {window}"
            )
        })
    }

    /// An injector that treats all tokens alike, for all of the training or for its beginning.
    fn idle_injector(&self) -> Option<String> {
        let (injector, steps) = (&self.model.injector, self.training.train_steps);
        let (points, layout) = (self.training.curriculum.points, self.model.layout());
        let idle = |points: usize| injector.idle(layout.tokens(points));
        let what = idle(points.start)?;
        if let Some(what) = idle(points.at(steps.saturating_sub(1))) {
            return Some(format!("model.injector.{what} in every prompt of the training"));
        }
        // The first step whose prompts are long enough: ramps rise, so half of what is left is ruled out each time.
        let (mut before, mut after) = (0, steps.saturating_sub(1));
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            if idle(points.at(middle)).is_some() { before = middle } else { after = middle }
        }
        Some(format!("model.injector.{what} in the first prompts; it acts from step {after} on"))
    }
}
