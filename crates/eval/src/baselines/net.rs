//! A two-layer net trained by gradient descent.

use looped_core::{Baseline, Problems, Prompt, Result, Rng, schemars, typetag};
use serde::{Deserialize, Serialize};

use crate::two_layers::TwoLayers;

/// A ReLU net of one hidden layer, trained on the points before each query by Adam.
///
/// Every step is on all points; weights and biases start uniform within 1 / sqrt(inputs of the layer), as PyTorch's. The
/// settings are those of Garg et al. (arXiv 2208.01066) for the same baseline, whose batches of 100 held all points too.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Net {
    /// Width of the hidden layer (at least 1).
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub hidden: usize,
    /// Steps of Adam (at least 1).
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub steps: usize,
    /// Adam's learning rate (above 0).
    #[serde(default = "five_thousandths")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1000))]
    pub learning_rate: f32,
    /// What the initial weights are drawn from.
    #[serde(default)]
    pub seed: u64,
}

const fn hundred() -> usize {
    100
}

const fn five_thousandths() -> f32 {
    5e-3
}

impl Default for Net {
    fn default() -> Self {
        Self { hidden: hundred(), steps: hundred(), learning_rate: five_thousandths(), seed: 0 }
    }
}

#[typetag::serde(name = "net")]
impl Baseline for Net {
    fn name(&self) -> String {
        let steps = super::unless_default("steps", self.steps, hundred());
        let rate = super::unless_default("rate", self.learning_rate, five_thousandths());
        let seed = super::unless_default("seed", self.seed, 0);
        format!("net_{}{steps}{rate}{seed}", self.hidden)
    }

    fn validate(&self, problems: &mut Problems) {
        problems.require_in(self.hidden, 1..=1_000_000, "hidden");
        problems.require_in(self.steps, 1..=1_000_000_000, "steps");
        problems.require_positive(self.learning_rate.into(), "learning_rate");
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        let Prompt { xs, ys, dims } = prompt;
        let start = TwoLayers::draw(dims, self.hidden, 1, &mut Rng::stream(self.seed, "net baseline", 0));
        let mut predictions = vec![0.0; xs.len() / dims];
        for (i, x) in xs.chunks_exact(dims).enumerate().skip(1) {
            let net = self.fitted(start.clone(), &xs[..i * dims], &ys[..i]);
            predictions[i] = net.forward(x).outputs[0];
        }
        Ok(predictions)
    }
}

impl Net {
    /// `net` trained on the mean squared error of the points.
    fn fitted(&self, mut net: TwoLayers, xs: &[f32], ys: &[f32]) -> TwoLayers {
        let mut adam = net.adam();
        for _ in 0..self.steps {
            let pass = net.forward(xs);
            let slope = |(prediction, y): (&f32, &f32)| 2.0 * (prediction - y) / ys.len() as f32;
            let slopes: Vec<f32> = pass.outputs.iter().zip(ys).map(slope).collect();
            let gradients = net.backward(xs, &pass, &slopes);
            net.update(&mut adam, &gradients, self.learning_rate);
        }
        net
    }
}

looped_core::register!(Baseline, "net", Net);

#[cfg(test)]
mod tests {
    use super::*;

    /// y = |x|: no linear estimator can.
    #[test]
    fn it_learns_what_is_not_linear() {
        let mut rng = Rng::stream(2, "test", 0);
        let xs = rng.normals(40);
        let ys: Vec<f32> = xs.iter().map(|x| x.abs()).collect();
        let predictions = Net::default().predict(Prompt { xs: &xs, ys: &ys, dims: 1 }).unwrap();
        let error: f32 = (30..40).map(|i| (predictions[i] - ys[i]).powi(2)).sum::<f32>() / 10.0;
        assert!(error < 0.02, "{error}");
    }
}
