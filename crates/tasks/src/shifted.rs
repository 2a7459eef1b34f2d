//! A function class over other inputs than those it is trained on.

use looped_core::{
    Error, ModelDims, Objective, Problems, Prompts, Request, Result, Rng, Task, schemars, typetag,
};
use serde::{Deserialize, Serialize};

use crate::function_class::sample_over;
use crate::inputs::Inputs;
use crate::{Distribution, FunctionClass};

/// The functions of another task over other inputs, as in out-of-distribution prompts.
///
/// From the same generator come the same functions as of `base`, and the same points before the shift, so that two
/// distributions differ by the shift alone. Errors are divided by the base's normaliser: a model that predicts 0 has
/// about 1 on `base`, and factor^2 where x or y of a linear function is scaled.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shifted {
    /// The task whose functions are drawn; any function class, but no dataset.
    #[schemars(schema_with = "looped_core::parts::task_schema")]
    pub base: Box<dyn FunctionClass>,
    /// What its prompts look like.
    pub distribution: Distribution,
}

impl Shifted {
    /// `task` with prompts of `distribution`; `None` if the task is no function class, or the shift doesn't suit
    /// what it learns (scaled or noisy y are none of a classification).
    #[must_use]
    pub fn of(task: &dyn Task, distribution: Distribution) -> Option<Self> {
        if !distribution.suits(task.objective()) {
            return None;
        }
        // A task is its own config, and so is a function class: what reads as one is one.
        let base = serde_json::from_value(serde_json::to_value(task).ok()?).ok()?;
        Some(Self { base, distribution })
    }

    fn misfit(&self) -> String {
        format!("{} doesn't suit classes, which are -1 or 1", self.distribution.name())
    }
}

#[typetag::serde(name = "shifted")]
impl Task for Shifted {
    fn validate(&self, dims: &ModelDims, problems: &mut Problems) {
        problems.within("base", |problems| self.base.validate(dims, problems));
        problems.within("distribution", |problems| {
            self.distribution.validate(problems);
            problems.require(self.distribution.suits(self.objective()), "type", || self.misfit());
        });
    }

    fn check(&self, _: &ModelDims, request: Request, problems: &mut Problems) {
        let (distribution, dims) = (&self.distribution, self.base.input_dims(request));
        let inputs = Inputs { distribution, points: request.points, dims, width: request.n_dims };
        if let Err(message) = inputs.check() {
            problems.report("distribution", message);
        }
    }

    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        if !self.distribution.suits(self.objective()) {
            return Err(Error::Data(self.misfit()));
        }
        sample_over(self.base.as_ref(), &self.distribution, request, rng)
    }

    fn objective(&self) -> Objective {
        self.base.objective()
    }

    fn normaliser(&self, dims: usize) -> f64 {
        self.base.normaliser(dims)
    }
}

looped_core::register!(Task, "shifted", Shifted);

#[cfg(test)]
mod tests;
