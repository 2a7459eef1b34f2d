//! The kinds of prompts that a model was not trained on.

use looped_core::{Objective, Problems, Rng, schemars};
use serde::{Deserialize, Serialize};

/// What the prompts of a function class look like; all but `standard` are the out-of-distribution prompts of
/// arXiv 2208.01066, section 4.
///
/// z stands for the standard normal x that the same generator gives without a shift; d for the coordinates in use.
/// Where the *query* is spoken of, it is the last point, predicted from all others: the score to look at is that of
/// the last point, and an error per number k of examples takes prompts of k + 1 points for each k.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Distribution {
    /// As in training: x = z.
    Standard {},
    /// The examples lie in one random quadrant (orthant): x = |z| s, with random signs s per prompt. The query is z.
    RandomQuadrants {},
    /// The examples lie in one random quadrant, x = |z| s, and the query in the opposite one, -|z| s.
    OppositeQuadrants {},
    /// The query is orthogonal to all examples and as long as z; needs fewer than d examples.
    OrthogonalQuery {},
    /// The query is one of the examples, drawn uniformly; with no examples it is z.
    RepeatedQuery {},
    /// x lies in a random subspace of d/2 dimensions (rounded down, at least 1), fresh for each prompt.
    ///
    /// z is projected on it and scaled by sqrt(d / (d/2)), so that |x|^2 has mean d still.
    HalfSubspace {},
    /// x = A z, where A is symmetric with eigenvalues proportional to 1/i in a random basis, fresh for each prompt.
    ///
    /// The covariance of x has eigenvalues proportional to 1/i^2, or with `condition` from 1 to 1 / condition with equal ratios between neighbours;
    /// |x|^2 has mean d still.
    SkewedCovariance {
        /// The condition number of the covariance of x.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1.0, max = 1_000_000.0))]
        condition: Option<f64>,
    },
    /// x = factor z.
    ScaledInputs {
        /// What x is multiplied by.
        #[schemars(range(min = 0.000_001, max = 1_000_000.0))]
        factor: f64,
    },
    /// y = factor f(x).
    ScaledOutputs {
        /// What y is multiplied by.
        #[schemars(range(min = 0.000_001, max = 1_000_000.0))]
        factor: f64,
    },
    /// y = f(x) + e with e ~ N(0, std^2) on every y, the query's too.
    LabelNoise {
        /// Standard deviation of the noise.
        #[schemars(range(min = 0.0, max = 1000.0))]
        std: f64,
    },
}

impl Distribution {
    /// The published suite: every shift, scales 1/3, 1/2, 2 and 3, noise of standard deviation 1.
    #[must_use]
    pub fn suite() -> Vec<Self> {
        const FACTORS: [f64; 4] = [1.0 / 3.0, 0.5, 2.0, 3.0];
        let mut suite = vec![
            Self::RandomQuadrants {},
            Self::OppositeQuadrants {},
            Self::OrthogonalQuery {},
            Self::RepeatedQuery {},
            Self::HalfSubspace {},
            Self::SkewedCovariance { condition: None },
        ];
        suite.extend(FACTORS.map(|factor| Self::ScaledInputs { factor }));
        suite.extend(FACTORS.map(|factor| Self::ScaledOutputs { factor }));
        suite.push(Self::LabelNoise { std: 1.0 });
        suite
    }

    /// The name in tables and files, settings included, as in `scaled_inputs_0.5`.
    #[must_use]
    pub fn name(&self) -> String {
        let short = |value: f64| (value * 1000.0).round() / 1000.0;
        match self {
            Self::Standard {} => "standard".into(),
            Self::RandomQuadrants {} => "random_quadrants".into(),
            Self::OppositeQuadrants {} => "opposite_quadrants".into(),
            Self::OrthogonalQuery {} => "orthogonal_query".into(),
            Self::RepeatedQuery {} => "repeated_query".into(),
            Self::HalfSubspace {} => "half_subspace".into(),
            Self::SkewedCovariance { condition: None } => "skewed_covariance".into(),
            Self::SkewedCovariance { condition: Some(condition) } => {
                format!("skewed_covariance_{}", short(*condition))
            }
            Self::ScaledInputs { factor } => format!("scaled_inputs_{}", short(*factor)),
            Self::ScaledOutputs { factor } => format!("scaled_outputs_{}", short(*factor)),
            Self::LabelNoise { std } => format!("label_noise_{}", short(*std)),
        }
    }

    /// Whether only the last point is shifted against the others, so that its error alone says something.
    #[must_use]
    pub const fn shifts_query(&self) -> bool {
        matches!(
            self,
            Self::RandomQuadrants {}
                | Self::OppositeQuadrants {}
                | Self::OrthogonalQuery {}
                | Self::RepeatedQuery {}
        )
    }

    /// The most points that a prompt with `dims` coordinates can have; `None` if there is no limit.
    #[must_use]
    pub const fn most_points(&self, dims: usize) -> Option<usize> {
        match self {
            Self::OrthogonalQuery {} => Some(dims),
            _ => None,
        }
    }

    /// Whether the shift makes sense for what a task learns: a class label can't be scaled or have normal noise.
    #[must_use]
    pub(crate) const fn suits(&self, objective: Objective) -> bool {
        !matches!(
            (self, objective),
            (Self::ScaledOutputs { .. } | Self::LabelNoise { .. }, Objective::CrossEntropy)
        )
    }

    /// What f(x) is multiplied by.
    pub(crate) const fn output_factor(&self) -> f64 {
        match self {
            Self::ScaledOutputs { factor } => *factor,
            _ => 1.0,
        }
    }

    /// What is added to one y.
    pub(crate) fn label_noise(&self, rng: &mut Rng) -> f64 {
        match self {
            Self::LabelNoise { std } => std * rng.normal(),
            _ => 0.0,
        }
    }

    /// Reports settings that can't work; keys are relative to the distribution's table.
    pub fn validate(&self, problems: &mut Problems) {
        match *self {
            Self::ScaledInputs { factor } | Self::ScaledOutputs { factor } => {
                problems.require_in(factor, 1e-6..=1e6, "factor");
            }
            Self::LabelNoise { std } => problems.require_in(std, 0.0..=1000.0, "std"),
            Self::SkewedCovariance { condition: Some(condition) } => {
                problems.require_in(condition, 1.0..=1e6, "condition");
            }
            _ => {}
        }
    }
}
