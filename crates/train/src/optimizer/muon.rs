//! Muon (Jordan et al., 2024, <https://kellerjordan.github.io/posts/muon>): steps of matrices, made orthogonal.

use looped_core::{Error, Kept, Optimizer, Parameter, Problems, Role, Update};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adam::{average, betas, eps};
use super::adamw::{shrink, weight_decay};
use super::orthogonal::orthogonal;
use super::{Adam, AdamW};

/// Momentum made orthogonal by Newton-Schulz steps for the weights of products in the model; AdamW for all else.
///
/// The read-in, the read-out, biases, norms and positions are AdamW's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Muon {
    /// How much of the running mean of a matrix's gradient stays at an update; Nesterov's form.
    #[serde(default = "momentum")]
    #[schemars(extend("minimum" = 0, "exclusiveMaximum" = 1))]
    pub momentum: f64,
    /// Newton-Schulz steps.
    #[serde(default = "steps")]
    #[schemars(range(min = 1, max = 20))]
    pub steps: usize,
    /// How large a matrix's step is.
    #[serde(default)]
    pub scale: Scale,
    /// Of the weights, learning_rate times this is taken away at each update.
    #[serde(default = "weight_decay")]
    #[schemars(range(min = 0, max = 1000))]
    pub weight_decay: f64,
    /// Of AdamW.
    #[serde(default = "betas")]
    pub betas: [f64; 2],
    /// Of AdamW.
    #[serde(default = "eps")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub eps: f64,
}

/// What an orthogonal matrix of (rows, columns) is multiplied by, beside the learning rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// 0.2 sqrt(max(rows, columns)): as large as AdamW's steps, so that one learning rate suits both (arXiv 2502.16982, section 2.2).
    #[default]
    Adamw,
    /// sqrt(max(1, rows / columns)): Jordan's.
    Shape,
}

const fn momentum() -> f64 {
    0.95
}

const fn steps() -> usize {
    5
}

impl Default for Muon {
    fn default() -> Self {
        Self {
            momentum: momentum(),
            steps: steps(),
            scale: Scale::default(),
            weight_decay: weight_decay(),
            betas: betas(),
            eps: eps(),
        }
    }
}

impl Scale {
    fn of(self, rows: usize, columns: usize) -> f64 {
        let (rows, columns) = (rows as f64, columns as f64);
        match self {
            Self::Adamw => 0.2 * rows.max(columns).sqrt(),
            Self::Shape => (rows / columns).max(1.0).sqrt(),
        }
    }
}

impl Muon {
    const fn rest(&self) -> AdamW {
        AdamW { weight_decay: self.weight_decay, betas: self.betas, eps: self.eps }
    }
}

#[typetag::serde(name = "muon")]
impl Optimizer for Muon {
    fn validate(&self, problems: &mut Problems) {
        self.rest().validate(problems);
        problems.require((0.0..1.0).contains(&self.momentum), "momentum", || {
            format!("is {}; allowed: at least 0, below 1", self.momentum)
        });
        problems.require_in(self.steps, 1..=20, "steps");
    }

    fn keeps(&self, parameter: Parameter<'_>) -> Vec<Kept> {
        match parameter.role {
            Role::Matrix => vec![Kept { name: "momentum", dims: parameter.dims.to_vec() }],
            _ => Adam::moments(parameter),
        }
    }

    fn update(
        &self,
        parameter: Parameter<'_>,
        update: Update,
        value: &mut [f32],
        kept: &mut [&mut [f32]],
        gradient: &[f32],
    ) -> looped_core::Result<()> {
        if parameter.role != Role::Matrix {
            return self.rest().update(parameter, update, value, kept, gradient);
        }
        let ([mean], &[rows, columns]) = (kept, parameter.dims) else {
            return Err(Error::Parameters(format!("{} is no matrix with one mean", parameter.name)));
        };
        average(mean, gradient, self.momentum);
        // Nesterov: the mean as it would be if the same gradient came once more.
        let mut ahead = mean.to_vec();
        average(&mut ahead, gradient, self.momentum);
        let step = orthogonal(&ahead, [rows, columns], self.steps);
        let size = (update.learning_rate * self.scale.of(rows, columns)) as f32;
        let shrink = shrink(parameter.role, self.weight_decay, update) as f32;
        for (value, step) in value.iter_mut().zip(step) {
            *value -= shrink * *value + size * step;
        }
        Ok(())
    }
}

looped_core::register!(Optimizer, "muon", Muon);
