//! Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1).

use candle_core::{Tensor, Var};
use looped_core::{Kept, Optimizer, Parameter, Problems, Update};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::in_place::{Descent, average, on_cpu};

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

    /// One update, after which the parameter is `1 - shrink` times what it was, less the step.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub(super) fn descend(
        &self,
        update: Update,
        shrink: f64,
        [parameter, first, second]: [&Var; 3],
        gradient: &Tensor,
    ) -> candle_core::Result<()> {
        let ([beta_1, beta_2], t) = (self.betas, update.number as f64);
        let descent = Descent {
            step_size: update.learning_rate / (1.0 - libm::pow(beta_1, t)),
            second_scale: 1.0 / (1.0 - libm::pow(beta_2, t)).sqrt(),
            eps: self.eps,
            shrink,
        };
        average(first, gradient, beta_1)?;
        if on_cpu(parameter) {
            second.inplace_op2(
                &gradient.contiguous()?,
                &super::in_place::Average { keep: beta_2, squared: true },
            )?;
            return parameter.inplace_op3(first, second, &descent);
        }
        second.set(&((second.as_tensor() * beta_2)? + (gradient.sqr()? * (1.0 - beta_2))?)?)?;
        descent.composed(parameter, first, second)
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
        value: &Var,
        kept: &[Var],
        gradient: &Tensor,
    ) -> looped_core::Result<()> {
        Ok(self.descend(update, 0.0, [value, &kept[0], &kept[1]], gradient)?)
    }
}

looped_core::register!(Optimizer, "adam", Adam);
