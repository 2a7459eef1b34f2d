//! Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1).

use looped_core::{Error, Kept, Optimizer, Parameter, Problems, Update};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Adam; `training.weight_decay` times a parameter joins its gradient (L2).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Adam {
    /// How much of the running means of the gradient and of its square stays at an update.
    #[serde(default = "betas")]
    pub betas: [f64; 2],
    /// Added to the root that is divided by.
    #[serde(default = "eps")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub eps: f64,
}

pub(super) const fn betas() -> [f64; 2] {
    [0.9, 0.999]
}

pub(super) const fn eps() -> f64 {
    1e-8
}

impl Default for Adam {
    fn default() -> Self {
        Self { betas: betas(), eps: eps() }
    }
}

impl Adam {
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.within("betas", |problems| {
            for (i, beta) in self.betas.into_iter().enumerate() {
                problems.require((0.0..1.0).contains(&beta), &i.to_string(), || {
                    format!("is {beta}; allowed: at least 0, below 1")
                });
            }
        });
        problems.require_positive(self.eps, "eps");
    }

    pub(super) fn moments(parameter: Parameter<'_>) -> Vec<Kept> {
        ["first", "second"].map(|name| Kept { name, dims: parameter.dims.to_vec() }).into()
    }

    /// One update, after which the parameter is `1 - shrink` times what it was, less the step: in one pass over its numbers, their gradients and
    /// both moments.
    pub(super) fn descend(
        &self,
        update: Update,
        shrink: f64,
        value: &mut [f32],
        kept: &mut [&mut [f32]],
        gradient: &[f32],
    ) -> looped_core::Result<()> {
        let [first, second] = kept else {
            return Err(Error::Parameters(format!("Adam keeps 2 moments, and there are {}", kept.len())));
        };
        let ([beta_1, beta_2], t) = (self.betas, update.number as f64);
        let [(keep_1, share_1), (keep_2, share_2)] = [beta_1, beta_2].map(shares);
        let step_size = (update.learning_rate / (1.0 - libm::pow(beta_1, t))) as f32;
        let scale = (1.0 / (1.0 - libm::pow(beta_2, t)).sqrt()) as f32;
        let (eps, shrink) = (self.eps as f32, shrink as f32);
        let moments = first.iter_mut().zip(&mut **second);
        for ((p, (m, v)), g) in value.iter_mut().zip(moments).zip(gradient) {
            *m = keep_1 * *m + share_1 * g;
            *v = keep_2 * *v + share_2 * (g * g);
            // A factor `1 - shrink` would lose the last bits of `shrink` at every step, always to the same side.
            *p -= shrink * *p + *m / (v.sqrt() * scale + eps) * step_size;
        }
        Ok(())
    }
}

/// What stays of a running mean, and what joins it.
fn shares(keep: f64) -> (f32, f32) {
    (keep as f32, (1.0 - keep) as f32)
}

/// `mean = keep * mean + (1 - keep) * value`.
pub(crate) fn average(mean: &mut [f32], value: &[f32], keep: f64) {
    let (keep, share) = shares(keep);
    for (mean, value) in mean.iter_mut().zip(value) {
        *mean = keep * *mean + share * value;
    }
}

#[typetag::serde(name = "adam")]
impl Optimizer for Adam {
    fn validate(&self, problems: &mut Problems) {
        self.check(problems);
    }

    fn adds_decay(&self) -> bool {
        true
    }

    fn as_adam(&self) -> Option<([f64; 2], f64)> {
        Some((self.betas, self.eps))
    }

    fn keeps(&self, parameter: Parameter<'_>) -> Vec<Kept> {
        Self::moments(parameter)
    }

    fn update(
        &self,
        _: Parameter<'_>,
        update: Update,
        value: &mut [f32],
        kept: &mut [&mut [f32]],
        gradient: &[f32],
    ) -> looped_core::Result<()> {
        self.descend(update, 0.0, value, kept, gradient)
    }
}

looped_core::register!(Optimizer, "adam", Adam);
