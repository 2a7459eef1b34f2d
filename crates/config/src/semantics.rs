//! What the keys of an experiment must mean together.

use looped_core::{Alphabet, BlockConfig, Embed, Head, MOST_LOOPS, Problems, Request, Split};
use looped_curriculum::{Curriculum, Ramp, Stage};

use crate::wording::quoted;
use crate::{Experiment, Training};

impl Experiment {
    /// Reports settings that don't fit each other, and those that the task, the model's parts or a baseline refuse.
    pub fn validate(&self, problems: &mut Problems) {
        problems.require(is_folder_name(&self.name), "name", || {
            let name = quoted(&self.name);
            format!("is {name}; it names the run's folder: 1 to 100 bytes, no / \\ < > : \" | ? *, no - at the start, no . at the end")
        });
        let dims = self.model.dims();
        problems.within("task", |p| self.task.validate(&dims, p));
        problems.within("model", |p| self.model.validate(p));
        problems.within("training", |p| self.validate_training(p));
        problems.within("evaluation", |p| {
            p.within("baselines", |p| {
                // The model's own curve has a name too.
                let mut names = vec!["model".to_owned()];
                names.extend(self.training.ema.map(|_| "model_ema".to_owned()));
                for (i, baseline) in self.evaluation.baselines.iter().enumerate() {
                    let name = baseline.name();
                    p.require(!names.contains(&name), &i.to_string(), || {
                        format!("is called {name}, as another curve is; change a setting, or leave one out")
                    });
                    names.push(name);
                    p.within(i.to_string(), |p| baseline.validate(p));
                }
            });
        });
        self.validate_ends(problems);
        let sees_targets = |block: &dyn BlockConfig| self.task.targets_in_prompt() && !block.is_causal();
        for (key, _) in self.model.blocks().filter(|(_, block)| sees_targets(*block)) {
            let message = format!(
                "lets a token see later ones, and in a prompt of `{}` the y that is to be predicted stands right after its x; allowed: causal \
                 blocks",
                self.task.typetag_name()
            );
            problems.report(&format!("model.{key}"), message);
        }
        // Only a model that can be built can be asked which engine takes it.
        if problems.is_empty() {
            self.validate_engine(problems);
        }
    }

    /// Reports what the training or the evaluation would ask the task or a baseline for in vain. Opens what they read.
    pub fn validate_data(&self, problems: &mut Problems) {
        problems.within("evaluation", |problems| {
            problems.within("baselines", |problems| {
                for (i, baseline) in self.evaluation.baselines.iter().enumerate() {
                    problems.within(i.to_string(), |problems| baseline.check(problems));
                }
            });
        });
        let (curriculum, dims) = (&self.training.curriculum, self.model.dims());
        let request = |stage: Stage, split| {
            let Stage { dims: used, points, .. } = stage;
            Request { prompts: 1, points, dims: used, n_dims: dims.n_dims, first: 0, split }
        };
        // What prompts look like doesn't depend on the loops; without them there are few stages.
        let without_loops = Curriculum { loops: None, ..*curriculum };
        let stages = without_loops.stages(self.training.train_steps);
        let last = Stage { dims: curriculum.dims.end, points: curriculum.points.end, loops: 1 };
        let requests = stages
            .flat_map(|(stage, _)| [request(stage, Split::Train), request(stage, Split::Evaluation)])
            .chain([request(last, Split::Evaluation)]);
        for request in requests {
            let mut found = Problems::new();
            self.task.check(&dims, request, &mut found);
            // One message is enough: later stages ask for more of the same.
            for problem in found.found() {
                problems.within("task", |problems| problems.report(&problem.path, problem.message.clone()));
            }
            if !found.is_empty() {
                return;
            }
        }
    }

    fn validate_training(&self, problems: &mut Problems) {
        let Training { curriculum, n_loop_window, n_loss_loops, optimizer, schedule, .. } = &self.training;
        problems.within("curriculum", |problems| {
            let model = &self.model;
            ramp("dims", &curriculum.dims, "model.n_dims, ", model.n_dims, problems);
            ramp("points", &curriculum.points, "model.n_positions, ", model.n_positions, problems);
            match &curriculum.loops {
                Some(loops) => ramp("loops", loops, "", MOST_LOOPS, problems),
                None if self.training.follows_curriculum() => problems.report(
                    "loops",
                    "is missing; expected an integer, at least 1, or a table with start, end; or a training.depth that draws the loops",
                ),
                None => {}
            }
        });
        if let Some(depth) = &self.training.depth {
            problems.within("depth", |problems| depth.validate(problems));
        }
        let per_prompt = self.training.depth_per_prompt;
        problems.require(!per_prompt || !self.training.follows_curriculum(), "depth_per_prompt", || {
            "is true, and every prompt of a step loops as the curriculum says; allowed: false, or a training.depth that draws".to_owned()
        });
        let loops = self.training.most_loops();
        problems.require(*n_loop_window <= loops, "n_loop_window", || {
            let most = if self.training.follows_curriculum() {
                "training.curriculum.loops.end"
            } else {
                "the most loops of training.depth"
            };
            format!("is {n_loop_window}; allowed: 1 to {most}, {loops}")
        });
        self.validate_loops(problems);
        let Training { ranks, batch_size, .. } = &self.training;
        problems.require(ranks <= batch_size, "ranks", || {
            format!("is {ranks}; allowed: 1 to training.batch_size, {batch_size}")
        });
        if let Some(counted) = n_loss_loops {
            problems.require(counted <= n_loop_window, "n_loss_loops", || {
                format!("is {counted}; allowed: 1 to n_loop_window, {n_loop_window}")
            });
        }
        if let Some(queries) = self.training.n_loss_queries {
            let most = curriculum.points.end;
            problems.require(queries <= most, "n_loss_queries", || {
                format!("is {queries}; allowed: 1 to training.curriculum.points.end, {most}")
            });
            problems.require(self.task.alphabet().is_none(), "n_loss_queries", || {
                let task = self.task.typetag_name();
                format!("is {queries}, and `{task}` says itself where answers are asked for; leave it out")
            });
        }
        if let Some(optimizer) = optimizer {
            problems.within("optimizer", |problems| optimizer.validate(problems));
            let fits = optimizer.adds_decay() || self.training.weight_decay == 0.0;
            problems.require(fits, "weight_decay", || {
                let (decay, name) = (self.training.weight_decay, optimizer.typetag_name());
                format!("is {decay}, which `{name}` doesn't add to the gradient; allowed: 0, and training.optimizer.weight_decay where it has one")
            });
        }
        if let Some(schedule) = schedule {
            problems.within("schedule", |problems| schedule.validate(self.training.train_steps, problems));
        }
        let fits = self.training.ema.is_none_or(|decay| decay > 0.0 && decay < 1.0);
        problems.require(fits, "ema", || {
            format!("is {}; allowed: above 0, below 1", self.training.ema.unwrap_or_default())
        });
        for (key, value) in [
            ("learning_rate", Some(self.training.learning_rate)),
            ("weight_decay", Some(self.training.weight_decay)),
            ("gradient_clip", self.training.gradient_clip),
        ] {
            let fits = value.is_none_or(|x| x.is_finite() && x >= 0.0);
            problems.require(fits, key, || {
                format!("is {}; allowed: finite, not negative", value.unwrap_or_default())
            });
        }
    }

    /// Unroll, loss and regularisers go over the same loops.
    fn validate_loops(&self, problems: &mut Problems) {
        let Training { n_loop_window, n_loss_loops, regularizers, .. } = &self.training;
        let (unroll, loss) = (self.training.unroll(), self.training.loss());
        unroll.validate(self.training.most_loops(), *n_loop_window, problems);
        problems.within("loss", |problems| loss.validate(problems));
        for (i, regularizer) in regularizers.iter().enumerate() {
            problems.within(format!("regularizers.{i}"), |problems| regularizer.validate(problems));
        }
        if let (Some(counted), false) = (n_loss_loops, loss.takes_count()) {
            let name = loss.typetag_name();
            problems.report(
                "n_loss_loops",
                format!("is {counted}, and the loss `{name}` says itself which loops count; leave it out, or take training.loss.type = \"uniform\""),
            );
        }
        let (way, name) = (unroll.typetag_name(), loss.typetag_name());
        let gate = self.model.exit_gate.is_some();
        problems.require(gate || !loss.needs_gate(), "loss", || {
            format!(
                "is {name:?}, and the model has no exit gate; needed: model.exit_gate = {{ bias = -3.0 }}"
            )
        });
        problems.require(!gate || loss.needs_gate(), "loss", || {
            format!("is {name:?}, which doesn't train model.exit_gate; allowed beside it: exit_weighted")
        });
        problems.require(!loss.has_own_way() || way == "last", "unroll", || {
            format!(
                "is {way:?}, and the loss `{name}` goes through the loops in a way of its own; allowed: last"
            )
        });
    }

    /// Tokens and answers are what the model's ends are made for.
    fn validate_ends(&self, problems: &mut Problems) {
        let (model, task) = (&self.model, self.task.typetag_name());
        let Some(Alphabet { tokens, classes }) = self.task.alphabet() else {
            for (key, own, usual) in [
                ("model.embed", model.embed != Embed::Linear, "linear"),
                ("model.head", model.head != Head::Scalar, "scalar"),
            ] {
                problems.require(!own, key, || {
                    format!("the prompts of `{task}` are points with a number each; allowed: {usual}")
                });
            }
            return;
        };
        let fits = matches!(model.embed, Embed::Vocabulary { size } if size >= tokens);
        problems.require(fits, "model.embed", || {
            format!("`{task}` has {tokens} different tokens; allowed: {{ type = \"vocabulary\", size = {tokens} }}, or more")
        });
        let fits = matches!(model.head, Head::Classes { count } if count >= classes);
        problems.require(fits, "model.head", || {
            format!("`{task}` has {classes} different answers; allowed: {{ type = \"classes\", count = {classes} }}, or more")
        });
        problems.require(model.n_dims == 1, "model.n_dims", || {
            format!("is {}; a token of `{task}` is one number; allowed: 1", model.n_dims)
        });
    }
}

/// A ramp rises from its start, and never beyond `limit`, which is the value of the key `limit_key`.
fn ramp(key: &str, ramp: &Ramp, limit_key: &str, limit: usize, problems: &mut Problems) {
    let Ramp { start, end, .. } = *ramp;
    problems.within(key, |problems| {
        problems.require(start <= end, "start", || format!("is {start}, more than end, {end}"));
        problems.require(end <= limit, "end", || format!("is {end}; allowed: 1 to {limit_key}{limit}"));
    });
}

/// Whether every system takes `name` for a folder's name.
pub(crate) fn is_folder_name(name: &str) -> bool {
    let fits = |c: char| !c.is_control() && !"/\\<>:\"|?*".contains(c);
    (1..=100).contains(&name.len())
        && name.chars().all(fits)
        && name.trim() == name
        && !name.ends_with('.')
        && !name.starts_with('-')
}
