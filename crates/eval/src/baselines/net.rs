//! A two-layer net trained by gradient descent.

use looped_core::{Baseline, Problems, Prompt, Result, Rng, schemars, typetag};
use serde::{Deserialize, Serialize};

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
        problems.require(self.hidden > 0, "hidden", || "must be at least 1".into());
        problems.require(self.steps > 0, "steps", || "must be at least 1".into());
        super::require_positive(self.learning_rate.into(), "learning_rate", problems);
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        let start = Weights::draw(prompt.dims, self.hidden, &mut Rng::stream(self.seed, "net baseline", 0));
        let xs: Vec<&[f32]> = prompt.xs.chunks_exact(prompt.dims).collect();
        let mut predictions = vec![0.0; xs.len()];
        for i in 1..xs.len() {
            let mut weights = start.clone();
            weights.train(&xs[..i], &prompt.ys[..i], self);
            predictions[i] = weights.forward(xs[i], &mut vec![0.0; self.hidden]);
        }
        Ok(predictions)
    }
}

/// out . relu(x W + bias) + out_bias, or that function's gradient; all in one vector, for Adam.
#[derive(Clone)]
struct Weights {
    hidden: usize,
    /// W (dims, hidden), then bias (hidden), out (hidden) and out_bias (1).
    values: Vec<f32>,
}

/// The parts of [`Weights::values`].
struct Parts<T> {
    w: T,
    bias: T,
    out: T,
    out_bias: T,
}

impl Weights {
    fn draw(dims: usize, hidden: usize, rng: &mut Rng) -> Self {
        let mut values = Vec::new();
        for (count, inputs) in [((dims + 1) * hidden, dims), (hidden + 1, hidden)] {
            let bound = 1.0 / (inputs as f64).sqrt();
            values.extend((0..count).map(|_| (bound * (2.0 * rng.uniform() - 1.0)) as f32));
        }
        Self { hidden, values }
    }

    fn parts(&self) -> Parts<&[f32]> {
        let (w, rest) = self.values.split_at(self.values.len() - 2 * self.hidden - 1);
        let (bias, rest) = rest.split_at(self.hidden);
        let (out, out_bias) = rest.split_at(self.hidden);
        Parts { w, bias, out, out_bias }
    }

    fn parts_mut(&mut self) -> Parts<&mut [f32]> {
        let first = self.values.len() - 2 * self.hidden - 1;
        let (w, rest) = self.values.split_at_mut(first);
        let (bias, rest) = rest.split_at_mut(self.hidden);
        let (out, out_bias) = rest.split_at_mut(self.hidden);
        Parts { w, bias, out, out_bias }
    }

    /// The prediction at x; `hidden` is filled with the hidden layer's values.
    fn forward(&self, x: &[f32], hidden: &mut [f32]) -> f32 {
        let Parts { w, bias, out, out_bias } = self.parts();
        hidden.copy_from_slice(bias);
        for (&x, row) in x.iter().zip(w.chunks_exact(self.hidden)) {
            hidden.iter_mut().zip(row).for_each(|(h, w)| *h += x * w);
        }
        hidden.iter_mut().for_each(|h| *h = h.max(0.0));
        out_bias[0] + hidden.iter().zip(out).map(|(h, v)| h * v).sum::<f32>()
    }

    /// Adds the gradient of a loss with the derivative `slope` by the prediction at x to `gradient`.
    fn backward(&self, x: &[f32], slope: f32, hidden: &[f32], dhidden: &mut [f32], gradient: &mut Self) {
        let out = self.parts().out;
        let into = gradient.parts_mut();
        into.out_bias[0] += slope;
        for (((d, h), v), dv) in dhidden.iter_mut().zip(hidden).zip(out).zip(into.out) {
            *dv += slope * h;
            *d = if *h > 0.0 { slope * v } else { 0.0 };
        }
        into.bias.iter_mut().zip(&*dhidden).for_each(|(db, d)| *db += d);
        for (&x, row) in x.iter().zip(into.w.chunks_exact_mut(self.hidden)) {
            row.iter_mut().zip(&*dhidden).for_each(|(dw, d)| *dw += x * d);
        }
    }

    /// Adam on the mean squared error (Kingma and Ba, arXiv 1412.6980, with its default decays).
    fn train(&mut self, xs: &[&[f32]], ys: &[f32], settings: &Net) {
        let (mut hidden, mut dhidden) = (vec![0.0; self.hidden], vec![0.0; self.hidden]);
        let mut gradient = Self { hidden: self.hidden, values: vec![0.0; self.values.len()] };
        let mut moments = vec![(0f32, 0f32); self.values.len()];
        let (mut decay1, mut decay2) = (1f32, 1f32);
        for _ in 0..settings.steps {
            gradient.values.fill(0.0);
            for (x, y) in xs.iter().zip(ys) {
                let slope = 2.0 * (self.forward(x, &mut hidden) - y) / ys.len() as f32;
                self.backward(x, slope, &hidden, &mut dhidden, &mut gradient);
            }
            decay1 *= 0.9;
            decay2 *= 0.999;
            let rate = settings.learning_rate / (1.0 - decay1);
            let correction = 1.0 / (1.0 - decay2);
            for ((value, g), (m, v)) in self.values.iter_mut().zip(&gradient.values).zip(&mut moments) {
                *m = 0.9 * *m + 0.1 * g;
                *v = 0.999 * *v + 0.001 * g * g;
                *value -= rate * *m / ((*v * correction).sqrt() + 1e-8);
            }
        }
    }
}

looped_core::register!(Baseline, "net", Net);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_squared_error() {
        let (dims, hidden, x, y) = (3, 4, [0.3, -0.7, 1.1], 0.5);
        let mut weights = Weights::draw(dims, hidden, &mut Rng::stream(1, "test", 0));
        let mut layer = vec![0.0; hidden];
        let loss = |weights: &Weights| (weights.forward(&x, &mut vec![0.0; hidden]) - y).powi(2);
        let mut gradient = Weights { hidden, values: vec![0.0; weights.values.len()] };
        let slope = 2.0 * (weights.forward(&x, &mut layer) - y);
        weights.backward(&x, slope, &layer, &mut vec![0.0; hidden], &mut gradient);
        for i in 0..weights.values.len() {
            let (start, h) = (weights.values[i], 1e-2);
            weights.values[i] = start + h;
            let above = loss(&weights);
            weights.values[i] = start - h;
            let expected = (above - loss(&weights)) / (2.0 * h);
            weights.values[i] = start;
            assert!((gradient.values[i] - expected).abs() < 1e-3, "{i}: {} {expected}", gradient.values[i]);
        }
    }

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
