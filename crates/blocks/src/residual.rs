//! The residual path around one half of a block, and the norms on it.

use looped_core::graph::{Norm, Value};
use looped_core::{Problems, schemars};
use serde::{Deserialize, Serialize};

/// Where the norms of a block stand. Of a half f of the block, attention or the network, with norms n and n' and the residual scale s:
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NormPlacement {
    /// x + s f(n(x)), as in GPT-2 and Llama.
    #[default]
    Pre,
    /// n(x + s f(x)), as in the first transformer (Vaswani et al., arXiv 1706.03762) and TRM (arXiv 2510.04871).
    Post,
    /// x + s n'(f(n(x))), Peri-LN (Kim et al., arXiv 2502.02732).
    Peri,
    /// n'(x + s f(n(x))), as in Huginn (Geiping et al., arXiv 2502.05171, section 3.2).
    Sandwich,
}

impl NormPlacement {
    pub(crate) fn is_pre(&self) -> bool {
        *self == Self::Pre
    }
}

/// How the halves of a block stand beside their residual paths.
#[derive(Clone, Copy)]
pub(crate) struct Beside {
    pub(crate) norm: NormPlacement,
    pub(crate) scale: f64,
}

impl Beside {
    /// A norm before each half, and nothing scaled.
    pub(crate) const PRE: Self = Self { norm: NormPlacement::Pre, scale: 1.0 };

    pub(crate) fn validate(self, problems: &mut Problems) {
        let scale = self.scale;
        problems.require(scale > 0.0 && scale <= MOST, "residual_scale", || {
            format!("is {scale}; allowed: above 0, to {MOST}")
        });
    }
}

/// The largest residual scale.
const MOST: f64 = 1000.0;

/// The scale of a key that isn't given.
pub(crate) const fn one() -> f64 {
    1.0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn is_one(scale: &f64) -> bool {
    *scale == 1.0
}

/// The norms around one half.
enum Norms {
    Pre(Norm),
    Post(Norm),
    Peri([Norm; 2]),
    Sandwich([Norm; 2]),
}

/// A residual path with its norms.
pub(crate) struct Residual {
    norms: Norms,
    scale: f32,
}

impl Residual {
    /// `norm` makes a norm of each name: the one that every placement has is called `name`, the second one `name_out`.
    pub(crate) fn new(beside: Beside, name: &str, norm: impl Fn(&str) -> Norm) -> Self {
        let two = || [norm(name), norm(&format!("{name}_out"))];
        let norms = match beside.norm {
            NormPlacement::Pre => Norms::Pre(norm(name)),
            NormPlacement::Post => Norms::Post(norm(name)),
            NormPlacement::Peri => Norms::Peri(two()),
            NormPlacement::Sandwich => Norms::Sandwich(two()),
        };
        Self { norms, scale: beside.scale as f32 }
    }

    /// The path of `x` around `half`.
    pub(crate) fn around<'t>(&self, x: Value<'t>, half: impl FnOnce(Value<'t>) -> Value<'t>) -> Value<'t> {
        match &self.norms {
            Norms::Pre(norm) => self.sum(x, half(x.norm(norm))),
            Norms::Post(norm) => self.sum(x, half(x)).norm(norm),
            Norms::Peri([before, after]) => self.sum(x, half(x.norm(before)).norm(after)),
            Norms::Sandwich([before, after]) => self.sum(x, half(x.norm(before))).norm(after),
        }
    }

    fn sum<'t>(&self, x: Value<'t>, y: Value<'t>) -> Value<'t> {
        // Unscaled, an engine adds within the product that gives y.
        if self.scale == 1.0 { x + y } else { x + y * self.scale }
    }
}
