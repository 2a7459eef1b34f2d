//! The small net that reads a vector from the state of a prompt.
//!
//! ```text
//! pooled = sum over tokens t of softmax(s)_t Z_t        read = W_2 relu(W_1 pooled + b_1) + b_2
//! ```
//!
//! The scores s are learnt with the rest, one for each token's place, so that the net finds for itself where to look.
//! Hundreds of such nets are trained for one model, so it is written out over plain slices, forward and backward.

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::{Device, Tensor};
use looped_core::nn::Linear;
use looped_core::{Init, ParamStore, Result, Rng, Watch};
use looped_ops::{Kernels, PackedMatrix, Scratch, Start};
use looped_train::{Adam, Gradients};

use crate::rows::{Rows, States};

/// Width of the layer between.
pub const HIDDEN: usize = 64;

/// Updates in training.
const STEPS: usize = 600;

/// Prompts an update.
const BATCH: usize = 128;

/// The learning rate falls from here to 0, in a line.
const LEARNING_RATE: f64 = 1e-2;

/// A net and the place it has learnt to look at.
pub(crate) struct Net {
    /// How much of each token it looks at; they add up to 1.
    looks: Vec<f32>,
    hidden: Layer,
    output: Layer,
}

impl Net {
    /// Learns to read the rows of `targets` from the states, on the prompts from `first` on; `seed` decides the rest.
    pub(crate) fn fit(
        states: &States,
        targets: &Rows,
        first: usize,
        seed: u64,
        watch: &dyn Watch,
    ) -> Result<Self> {
        let mut store = ParamStore::new(seed, &Device::Cpu);
        let mut params = store.trainable();
        params.get("scores", (1, states.tokens), Init::Zeros)?;
        Linear::uniform(states.width, HIDDEN, &mut params.scope("hidden"))?;
        Linear::uniform(HIDDEN, targets.width, &mut params.scope("output"))?;
        let mut adam = Adam::new(&store, LEARNING_RATE, 0.0).map_err(plain)?;
        let prompts = first..targets.count();
        let batch = BATCH.min(prompts.len());
        let mut order = Order { prompts, waiting: Vec::new(), rng: Rng::stream(seed, "probe order", 0) };
        for step in 0..STEPS {
            watch.check()?;
            adam.set_learning_rate(LEARNING_RATE * (STEPS - step) as f64 / STEPS as f64);
            let gradients = Self::of(&store)?.gradients(states, targets, &order.next(batch))?;
            adam.update(&store, &gradients).map_err(plain)?;
        }
        Self::of(&store)
    }

    /// With the parameters' present values.
    fn of(store: &ParamStore) -> Result<Self> {
        let mut values = BTreeMap::new();
        for (name, var) in store.iter() {
            values.insert(name, var.flatten_all()?.to_vec1::<f32>()?);
        }
        let layer = |weight: &str, bias: &str| Layer::new(&values[weight], values[bias].clone());
        Ok(Self {
            looks: softmax(&values["scores"]),
            hidden: layer("hidden.weight", "hidden.bias"),
            output: layer("output.weight", "output.bias"),
        })
    }

    /// What it reads from the states of the first `count` prompts.
    pub(crate) fn read(&self, states: &States, count: usize) -> Rows {
        let prompts: Vec<usize> = (0..count).collect();
        let pooled = self.pooled(states, &prompts);
        Rows { values: self.output.forward(&self.activated(&pooled)), width: self.output.bias.len() }
    }

    /// (prompts, width)
    fn pooled(&self, states: &States, prompts: &[usize]) -> Vec<f32> {
        let kernels = Kernels::best();
        let mut pooled = vec![0.0; prompts.len() * states.width];
        for (&prompt, pooled) in prompts.iter().zip(pooled.chunks_exact_mut(states.width)) {
            for (&look, token) in self.looks.iter().zip(states.tokens_of(prompt)) {
                kernels.add_scaled(look, token, pooled);
            }
        }
        pooled
    }

    /// (prompts, HIDDEN)
    fn activated(&self, pooled: &[f32]) -> Vec<f32> {
        let mut hidden = self.hidden.forward(pooled);
        hidden.iter_mut().for_each(|v| *v = v.max(0.0));
        hidden
    }

    /// The gradients of the mean squared error over the given prompts.
    fn gradients(&self, states: &States, targets: &Rows, prompts: &[usize]) -> Result<Gradients> {
        let pooled = self.pooled(states, prompts);
        let hidden = self.activated(&pooled);
        let mut dread = self.output.forward(&hidden);
        let scale = 2.0 / dread.len() as f32;
        for (&prompt, read) in prompts.iter().zip(dread.chunks_exact_mut(targets.width)) {
            read.iter_mut()
                .zip(targets.of(prompt))
                .for_each(|(read, target)| *read = scale * (*read - target));
        }
        let (doutput, mut dhidden) = self.output.backward(&dread, &hidden);
        dhidden.iter_mut().zip(&hidden).filter(|(_, value)| **value == 0.0).for_each(|(d, _)| *d = 0.0);
        let (dhidden, dpooled) = self.hidden.backward(&dhidden, &pooled);
        let dscores = self.dscores(states, prompts, &dpooled);

        let tensor = |values, shape: &[usize]| Tensor::from_vec(values, shape, &Device::Cpu);
        let mut gradients = Gradients::new();
        gradients.insert("scores".into(), tensor(dscores, &[1, states.tokens])?);
        for (name, [dweight, dbias], inputs) in
            [("hidden", dhidden, states.width), ("output", doutput, HIDDEN)]
        {
            let shape = [dbias.len(), inputs];
            gradients.insert(format!("{name}.weight"), tensor(dweight, &shape)?);
            gradients.insert(format!("{name}.bias"), tensor(dbias, &shape[..1])?);
        }
        Ok(gradients)
    }

    /// The gradients of the scores, given those of the pooled states.
    fn dscores(&self, states: &States, prompts: &[usize], dpooled: &[f32]) -> Vec<f32> {
        let kernels = Kernels::best();
        // For each token its products with `dpooled`, added up over the prompts; their sums are the looks' derivatives.
        let mut products = vec![0.0; states.tokens * states.width];
        for (&prompt, dpooled) in prompts.iter().zip(dpooled.chunks_exact(states.width)) {
            for (token, products) in states.tokens_of(prompt).zip(products.chunks_exact_mut(states.width)) {
                kernels.add_product(token, dpooled, products);
            }
        }
        let dlooks: Vec<f32> =
            products.chunks_exact(states.width).map(|of_token| of_token.iter().sum()).collect();
        let mean: f32 = self.looks.iter().zip(&dlooks).map(|(look, d)| look * d).sum();
        self.looks.iter().zip(&dlooks).map(|(look, d)| look * (d - mean)).collect()
    }
}

/// A linear layer, packed for products from both sides.
struct Layer {
    forward: PackedMatrix,
    backward: PackedMatrix,
    bias: Vec<f32>,
}

impl Layer {
    /// `weight` is (outputs, inputs).
    fn new(weight: &[f32], bias: Vec<f32>) -> Self {
        let (kernels, outputs) = (Kernels::best(), bias.len());
        let inputs = weight.len() / outputs;
        Self {
            forward: PackedMatrix::linear_forward(kernels, weight, outputs, inputs),
            backward: PackedMatrix::linear_backward(kernels, weight, outputs, inputs),
            bias,
        }
    }

    /// `x` (rows, inputs), result (rows, outputs).
    fn forward(&self, x: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len() / self.forward.inner() * self.bias.len()];
        Kernels::best().matmul(x, &self.forward, Start::Bias(&self.bias), &mut y, &mut Scratch::new());
        y
    }

    /// The gradients of weight and bias, and that of `x`, given `dy` (rows, outputs).
    fn backward(&self, dy: &[f32], x: &[f32]) -> ([Vec<f32>; 2], Vec<f32>) {
        let (kernels, mut scratch) = (Kernels::best(), Scratch::new());
        let (inputs, outputs) = (self.forward.inner(), self.bias.len());
        let (mut dweight, mut dbias) = (vec![0.0; outputs * inputs], vec![0.0; outputs]);
        let mut dx = vec![0.0; x.len()];
        kernels.add_weight_gradient(dy, x, dy.len() / outputs, &mut dweight, &mut scratch);
        kernels.add_column_sums(dy, &mut dbias);
        kernels.matmul(dy, &self.backward, Start::Zero, &mut dx, &mut scratch);
        ([dweight, dbias], dx)
    }
}

fn softmax(scores: &[f32]) -> Vec<f32> {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|score| (score - largest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// Prompts in random order, over and over.
struct Order {
    prompts: Range<usize>,
    waiting: Vec<usize>,
    rng: Rng,
}

impl Order {
    fn next(&mut self, count: usize) -> Vec<usize> {
        while self.waiting.len() < count {
            let pass = self.rng.permutation(self.prompts.len());
            self.waiting.extend(pass.into_iter().map(|i| self.prompts.start + i));
        }
        self.waiting.drain(..count).collect()
    }
}

/// The optimiser's error: one of tensors, since the parameters are the net's own.
fn plain(error: looped_train::TrainError) -> looped_core::Error {
    looped_core::Error::Parameters(error.to_string())
}
