//! A net of one hidden layer, for problems so small that thousands of nets are trained: over plain numbers, forward and
//! backward, with Adam.
//!
//! ```text
//! y = relu(x W_1 + b_1) W_2 + b_2
//! ```

use looped_core::Rng;
use looped_ops::{Kernels, PackedMatrix, Scratch, Start};

/// The net: its weights and biases.
#[derive(Clone, Debug)]
pub struct TwoLayers {
    inputs: usize,
    hidden: usize,
    outputs: usize,
    /// W_1 (inputs, hidden), b_1 (hidden), W_2 (hidden, outputs), b_2 (outputs): one vector, for [`Adam`].
    values: Vec<f32>,
}

/// What a forward pass found, row by row.
#[derive(Clone, Debug)]
pub struct Pass {
    hidden: Vec<f32>,
    /// (rows, outputs)
    pub outputs: Vec<f32>,
}

/// The gradients of a loss.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// With respect to the net's weights and biases, in its own order.
    values: Vec<f32>,
    /// With respect to the hidden layer before its ReLU.
    hidden: Vec<f32>,
}

impl TwoLayers {
    /// Weights and biases uniform within 1 / sqrt(inputs of the layer), as PyTorch's.
    #[must_use]
    pub fn draw(inputs: usize, hidden: usize, outputs: usize, rng: &mut Rng) -> Self {
        let mut values = Vec::new();
        for (count, inputs) in [((inputs + 1) * hidden, inputs), ((hidden + 1) * outputs, hidden)] {
            let bound = 1.0 / (inputs as f64).sqrt();
            values.extend((0..count).map(|_| (bound * (2.0 * rng.uniform() - 1.0)) as f32));
        }
        Self { inputs, hidden, outputs, values }
    }

    /// The outputs for each row of `x` (rows, inputs).
    #[must_use]
    pub fn forward(&self, x: &[f32]) -> Pass {
        let [w_1, b_1, w_2, b_2] = self.parts();
        let mut hidden = product(x, w_1, Shape { from: self.inputs, to: self.hidden }, Start::Bias(b_1));
        hidden.iter_mut().for_each(|value| *value = value.max(0.0));
        let outputs = product(&hidden, w_2, Shape { from: self.hidden, to: self.outputs }, Start::Bias(b_2));
        Pass { hidden, outputs }
    }

    /// The gradients of a loss whose gradient with respect to the outputs of `pass` is `slopes` (rows, outputs).
    #[must_use]
    pub fn backward(&self, x: &[f32], pass: &Pass, slopes: &[f32]) -> Gradients {
        let mut hidden = product_transposed(slopes, self.parts()[2], self.hidden, self.outputs);
        hidden.iter_mut().zip(&pass.hidden).filter(|(_, h)| **h == 0.0).for_each(|(slope, _)| *slope = 0.0);
        let (kernels, mut scratch) = (Kernels::best(), Scratch::new());
        let rows = slopes.len() / self.outputs;
        let mut values = vec![0.0; self.values.len()];
        let [w_1, b_1, w_2, b_2] = split(&mut values, self.sizes());
        kernels.add_weight_gradient(x, &hidden, rows, w_1, &mut scratch);
        kernels.add_column_sums(&hidden, b_1);
        kernels.add_weight_gradient(&pass.hidden, slopes, rows, w_2, &mut scratch);
        kernels.add_column_sums(slopes, b_2);
        Gradients { values, hidden }
    }

    /// The gradient with respect to each row of x.
    #[must_use]
    pub fn to_inputs(&self, gradients: &Gradients) -> Vec<f32> {
        product_transposed(&gradients.hidden, self.parts()[0], self.inputs, self.hidden)
    }

    /// An optimiser of this net.
    #[must_use]
    pub fn adam(&self) -> Adam {
        Adam::new(self.values.len())
    }

    /// One step down the gradients.
    pub fn update(&mut self, adam: &mut Adam, gradients: &Gradients, learning_rate: f32) {
        adam.update(&mut self.values, &gradients.values, learning_rate);
    }

    fn sizes(&self) -> [usize; 3] {
        [self.inputs * self.hidden, self.hidden, self.hidden * self.outputs]
    }

    fn parts(&self) -> [&[f32]; 4] {
        let [w_1, b_1, w_2] = self.sizes();
        let (first, rest) = self.values.split_at(w_1);
        let (second, rest) = rest.split_at(b_1);
        let (third, fourth) = rest.split_at(w_2);
        [first, second, third, fourth]
    }
}

fn split(values: &mut [f32], [w_1, b_1, w_2]: [usize; 3]) -> [&mut [f32]; 4] {
    let (first, rest) = values.split_at_mut(w_1);
    let (second, rest) = rest.split_at_mut(b_1);
    let (third, fourth) = rest.split_at_mut(w_2);
    [first, second, third, fourth]
}

/// How many numbers a layer takes and gives.
#[derive(Clone, Copy)]
struct Shape {
    from: usize,
    to: usize,
}

/// x (rows, from) times `weight` (from, to).
fn product(x: &[f32], weight: &[f32], Shape { from, to }: Shape, start: Start<'_>) -> Vec<f32> {
    let mut packed = PackedMatrix::zeros(Kernels::best(), from, to);
    packed.pack(weight);
    multiply(x, &packed, start)
}

/// x (rows, to) times the transpose of `weight` (from, to).
fn product_transposed(x: &[f32], weight: &[f32], from: usize, to: usize) -> Vec<f32> {
    let mut packed = PackedMatrix::zeros(Kernels::best(), to, from);
    packed.pack_transposed(weight);
    multiply(x, &packed, Start::Zero)
}

fn multiply(x: &[f32], packed: &PackedMatrix, start: Start<'_>) -> Vec<f32> {
    let mut y = vec![0.0; x.len() / packed.inner() * packed.columns()];
    Kernels::best().matmul(x, packed, start, &mut y, &mut Scratch::new());
    y
}

/// Adam (Kingma and Ba, arXiv 1412.6980) with its default decays, over a vector of parameters.
#[derive(Clone, Debug)]
pub struct Adam {
    /// Running means of each gradient and of its square.
    moments: Vec<(f32, f32)>,
    /// What the means have kept of their start at 0.
    kept: (f32, f32),
}

impl Adam {
    /// For so many parameters.
    #[must_use]
    pub fn new(parameters: usize) -> Self {
        Self { moments: vec![(0.0, 0.0); parameters], kept: (1.0, 1.0) }
    }

    /// One step down the gradient.
    pub fn update(&mut self, values: &mut [f32], gradient: &[f32], learning_rate: f32) {
        self.kept.0 *= 0.9;
        self.kept.1 *= 0.999;
        let rate = learning_rate / (1.0 - self.kept.0);
        let correction = 1.0 / (1.0 - self.kept.1);
        for ((value, g), (first, second)) in values.iter_mut().zip(gradient).zip(&mut self.moments) {
            *first = 0.9 * *first + 0.1 * g;
            *second = 0.999 * *second + 0.001 * g * g;
            *value -= rate * *first / ((*second * correction).sqrt() + 1e-8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By central differences of sum(y^2) in every weight, bias and input.
    #[test]
    fn gradients_are_those_of_the_loss() {
        let mut rng = Rng::stream(1, "test", 0);
        let mut net = TwoLayers::draw(3, 5, 2, &mut rng);
        let mut x = rng.normals(4 * 3);
        let loss = |net: &TwoLayers, x: &[f32]| -> f32 { net.forward(x).outputs.iter().map(|y| y * y).sum() };
        let pass = net.forward(&x);
        let slopes: Vec<f32> = pass.outputs.iter().map(|y| 2.0 * y).collect();
        let gradients = net.backward(&x, &pass, &slopes);
        let to_inputs = net.to_inputs(&gradients);
        let near = |found: f32, above: f32, below: f32| (found - (above - below) / 2e-3).abs() < 1e-2;
        for (i, &found) in gradients.values.iter().enumerate() {
            let start = net.values[i];
            net.values[i] = start + 1e-3;
            let above = loss(&net, &x);
            net.values[i] = start - 1e-3;
            let below = loss(&net, &x);
            net.values[i] = start;
            assert!(near(found, above, below), "parameter {i}: {found}, expected {}", (above - below) / 2e-3);
        }
        for (i, &found) in to_inputs.iter().enumerate() {
            let start = x[i];
            x[i] = start + 1e-3;
            let above = loss(&net, &x);
            x[i] = start - 1e-3;
            let below = loss(&net, &x);
            x[i] = start;
            assert!(near(found, above, below), "input {i}: {found}, expected {}", (above - below) / 2e-3);
        }
    }
}
