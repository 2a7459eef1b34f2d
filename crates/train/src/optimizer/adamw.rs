//! Adam with decoupled decay (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2).

use looped_core::{Kept, Optimizer, Parameter, Problems, Role, Update};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Adam;
use super::adam::{betas, eps};

/// Adam whose decay shrinks the weights of products directly; biases, norms and positions keep their size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdamW {
    /// Of the weights, learning_rate times this is taken away at each update.
    #[serde(default = "weight_decay")]
    #[schemars(range(min = 0, max = 1000))]
    pub weight_decay: f64,
    /// How much of the running means of the gradient and of its square stays at an update.
    #[serde(default = "betas")]
    pub betas: [f64; 2],
    /// Added to the root that is divided by.
    #[serde(default = "eps")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub eps: f64,
}

pub(super) const fn weight_decay() -> f64 {
    0.01
}

impl Default for AdamW {
    fn default() -> Self {
        Self { weight_decay: weight_decay(), betas: betas(), eps: eps() }
    }
}

impl AdamW {
    const fn adam(&self) -> Adam {
        Adam { betas: self.betas, eps: self.eps }
    }
}

/// The part of a parameter that one update takes away.
pub(super) fn shrink(role: Role, weight_decay: f64, update: Update) -> f64 {
    if role == Role::Other { 0.0 } else { update.learning_rate * weight_decay }
}

#[typetag::serde(name = "adamw")]
impl Optimizer for AdamW {
    fn validate(&self, problems: &mut Problems) {
        self.adam().check(problems);
        problems.require_in(self.weight_decay, 0.0..=1000.0, "weight_decay");
    }

    fn keeps(&self, parameter: Parameter<'_>) -> Vec<Kept> {
        Adam::moments(parameter)
    }

    fn update(
        &self,
        parameter: Parameter<'_>,
        update: Update,
        value: &mut [f32],
        kept: &mut [&mut [f32]],
        gradient: &[f32],
    ) -> looped_core::Result<()> {
        let shrink = shrink(parameter.role, self.weight_decay, update);
        self.adam().descend(update, shrink, value, kept, gradient)
    }
}

looped_core::register!(Optimizer, "adamw", AdamW);
