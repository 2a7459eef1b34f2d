//! A loss weighted by where a learned gate would stop (Ouro, arXiv 2510.25741; PonderNet, arXiv 2107.05407).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Joint, LoopLoss, Share};
use crate::{Objective, Problems};

/// The mean of the loops' losses, weighted by the probability that the model's gate stops there, and a pull of that probability to a prior.
///
/// With the gate's logit g_t after loop t, s_t = sigmoid(g_t) and T loops with gradient, p_t = s_t (1 - s_1) ... (1 - s_(t-1)), and p_T is what is
/// left. The loss is the sum of p_t L_t, plus `beta` times KL(p || prior). With a uniform prior that is Ouro's entropy term but for a constant (Zhu et
/// al., arXiv 2510.25741), with a geometric one PonderNet's (Banino et al., arXiv 2107.05407). It needs
/// `model.exit_gate`. Every prediction has a gate of its own.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExitWeighted {
    /// How much the pull to the prior counts.
    #[serde(default = "beta")]
    #[schemars(range(min = 0, max = 1000))]
    pub beta: f64,
    /// How likely each loop is to be the last, before anything is seen.
    #[serde(default)]
    pub prior: Prior,
}

/// How likely each loop is to be the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Prior {
    /// Each as likely.
    #[default]
    Uniform,
    /// Each stops with this probability if those before it didn't; cut at the last loop.
    Geometric {
        /// The probability.
        #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
        rate: f64,
    },
}

const fn beta() -> f64 {
    0.1
}

#[typetag::serde(name = "exit_weighted")]
impl LoopLoss for ExitWeighted {
    fn validate(&self, problems: &mut Problems) {
        problems.require_in(self.beta, 0.0..=1000.0, "beta");
        if let Prior::Geometric { rate } = self.prior {
            problems.require(rate > 0.0 && rate < 1.0, "prior.rate", || {
                format!("is {rate}; allowed: above 0, below 1")
            });
        }
    }

    fn needs_gate(&self) -> bool {
        true
    }

    fn share(&self, _: usize, _: usize, _: Option<usize>) -> Option<Share> {
        None
    }

    fn joint(&self) -> Option<&dyn Joint> {
        Some(self)
    }
}

/// The probabilities of stopping after each loop, from the gate's logits; the last loop's logit has no effect.
fn exit_probabilities(logits: &[f64]) -> Vec<f64> {
    let mut left = 0.0;
    let mut logs = Vec::with_capacity(logits.len());
    for (t, logit) in logits.iter().enumerate() {
        if t + 1 == logits.len() {
            logs.push(left);
        } else {
            logs.push(left - softplus(-logit));
            left -= softplus(*logit);
        }
    }
    logs.into_iter().map(f64::exp).collect()
}

/// log(1 + exp(x)), which never overflows.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

impl Prior {
    /// The logarithm of the prior of loop t of `loops`, from 0.
    fn log(self, t: usize, loops: usize) -> f64 {
        match self {
            Self::Uniform => -libm::log(loops as f64),
            Self::Geometric { rate } => {
                let reached = t as f64 * libm::log1p(-rate);
                if t + 1 == loops { reached } else { reached + libm::log(rate) }
            }
        }
    }
}

impl Joint for ExitWeighted {
    fn value_and_slopes(
        &self,
        objective: Objective,
        predictions: &[f32],
        numbers: usize,
        y: f32,
        slopes: &mut [f32],
    ) -> f64 {
        slopes.fill(0.0);
        if y.is_nan() {
            return 0.0;
        }
        let loops = predictions.len() / numbers;
        let gate = numbers - 1;
        let logits: Vec<f64> = (0..loops).map(|t| f64::from(predictions[t * numbers + gate])).collect();
        let exits = exit_probabilities(&logits);
        let mut sum = 0.0;
        // The derivative of the loss with respect to each probability, but for a constant, which does nothing as they add up to 1.
        let mut pulls = vec![0.0; loops];
        for (t, p) in exits.iter().enumerate() {
            let own = t * numbers..t * numbers + gate;
            let value =
                f64::from(objective.value_and_slopes(&predictions[own.clone()], y, &mut slopes[own.clone()]));
            slopes[own].iter_mut().for_each(|slope| *slope = (f64::from(*slope) * p) as f32);
            let log_ratio = libm::log(p.max(f64::MIN_POSITIVE)) - self.prior.log(t, loops);
            sum += p * (value + self.beta * log_ratio);
            pulls[t] = value + self.beta * log_ratio;
        }
        // p_t rises with g_t as p_t (1 - s_t), and each later p falls as s_t times itself.
        let mut later = 0.0;
        for t in (0..loops).rev() {
            if t + 1 < loops {
                let stop = 1.0 / (1.0 + libm::exp(-logits[t]));
                slopes[t * numbers + gate] = (exits[t] * (1.0 - stop) * pulls[t] - stop * later) as f32;
            }
            later += exits[t] * pulls[t];
        }
        sum
    }
}

crate::register!(LoopLoss, "exit_weighted", ExitWeighted);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probabilities_add_up_to_one_however_large_the_logits() {
        for logits in [vec![0.3, -2.0, 5.0], vec![800.0, 0.0], vec![-800.0, -800.0, 1.0], vec![4.0]] {
            let sum: f64 = exit_probabilities(&logits).iter().sum();
            assert!((sum - 1.0).abs() < 1e-12, "{logits:?}: {sum}");
        }
        let halves = exit_probabilities(&[0.0, 0.0, 9.0]);
        assert!(halves.iter().zip([0.5, 0.25, 0.25]).all(|(p, expected)| (p - expected).abs() < 1e-12));
    }

    #[test]
    fn slopes_are_the_losses_derivatives() {
        for prior in [Prior::Uniform, Prior::Geometric { rate: 0.3 }] {
            let loss = ExitWeighted { beta: 0.2, prior };
            let (predictions, y) = ([0.5f32, -0.4, 1.5, 0.7, 0.9, -1.0, 2.0, 0.1], 1.2);
            let value = |predictions: &[f32]| {
                loss.value_and_slopes(Objective::SquaredError, predictions, 2, y, &mut [0.0; 8])
            };
            let mut slopes = [0.0; 8];
            loss.value_and_slopes(Objective::SquaredError, &predictions, 2, y, &mut slopes);
            for i in 0..8 {
                let at = |by: f32| {
                    let mut moved = predictions;
                    moved[i] += by;
                    value(&moved)
                };
                let expected = (at(1e-2) - at(-1e-2)) / 2e-2;
                assert!(
                    (f64::from(slopes[i]) - expected).abs() < 3e-4,
                    "{prior:?} {i}: {} {expected}",
                    slopes[i]
                );
            }
        }
    }

    #[test]
    fn at_the_prior_there_is_no_pull() {
        let (loss, even) = (ExitWeighted { beta: 5.0, prior: Prior::Geometric { rate: 0.5 } }, 0.0f32);
        let predictions = [1.0, even, 1.0, even, 1.0, even];
        let mut slopes = [0.0; 6];
        let value = loss.value_and_slopes(Objective::SquaredError, &predictions, 2, 1.0, &mut slopes);
        assert!(value.abs() < 1e-12 && slopes.iter().all(|slope| slope.abs() < 1e-7), "{value} {slopes:?}");
    }
}
