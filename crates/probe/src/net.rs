//! The small net that reads a vector from the state of a prompt.
//!
//! ```text
//! pooled = sum over tokens t of softmax(s)_t Z_t        read = W_2 relu(W_1 pooled + b_1) + b_2
//! ```
//!
//! The scores s are learnt with the rest, one for each token's place, so that the net finds for itself where to look.
//! Hundreds of such nets are trained for one model, so it is written out over plain slices, forward and backward.

use std::ops::Range;

use looped_core::{Result, Rng, Watch};
use looped_eval::two_layers::{Adam, TwoLayers};
use looped_ops::Kernels;

use crate::rows::{Rows, States};

/// Width of the layer between.
pub const HIDDEN: usize = 64;

/// Updates in training.
const STEPS: usize = 600;

/// Prompts an update.
const BATCH: usize = 128;

/// The learning rate falls from here to 0, in a line.
const LEARNING_RATE: f32 = 1e-2;

/// A net and the place it has learnt to look at.
pub(crate) struct Net {
    /// How much it looks at each token, before the softmax.
    scores: Vec<f32>,
    reader: TwoLayers,
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
        let mut rng = Rng::stream(seed, "probe net", 0);
        let reader = TwoLayers::draw(states.width, HIDDEN, targets.width, &mut rng);
        let mut net = Self { scores: vec![0.0; states.tokens], reader };
        let (mut of_scores, mut of_reader) = (Adam::new(states.tokens), net.reader.adam());
        let prompts = first..targets.count();
        let batch = BATCH.min(prompts.len());
        let mut order = Order { prompts, waiting: Vec::new(), rng: Rng::stream(seed, "probe order", 0) };
        for step in 0..STEPS {
            watch.check()?;
            let rate = LEARNING_RATE * (STEPS - step) as f32 / STEPS as f32;
            net.step(states, targets, &order.next(batch), (&mut of_scores, &mut of_reader), rate);
        }
        Ok(net)
    }

    /// What it reads from the states of the first `count` prompts.
    pub(crate) fn read(&self, states: &States, count: usize) -> Rows {
        let prompts: Vec<usize> = (0..count).collect();
        let pooled = pooled(&softmax(&self.scores), states, &prompts);
        let values = self.reader.forward(&pooled).outputs;
        Rows { width: values.len() / count, values }
    }

    /// One update on the mean squared error over the given prompts.
    fn step(
        &mut self,
        states: &States,
        targets: &Rows,
        prompts: &[usize],
        (of_scores, of_reader): (&mut Adam, &mut Adam),
        rate: f32,
    ) {
        let looks = softmax(&self.scores);
        let pooled = pooled(&looks, states, prompts);
        let pass = self.reader.forward(&pooled);
        let mut slopes = pass.outputs.clone();
        let scale = 2.0 / slopes.len() as f32;
        for (&prompt, slopes) in prompts.iter().zip(slopes.chunks_exact_mut(targets.width)) {
            slopes
                .iter_mut()
                .zip(targets.of(prompt))
                .for_each(|(slope, target)| *slope = scale * (*slope - target));
        }
        let gradients = self.reader.backward(&pooled, &pass, &slopes);
        let to_pooled = self.reader.to_inputs(&gradients);
        let to_scores = scores_gradient(&looks, states, prompts, &to_pooled);
        of_scores.update(&mut self.scores, &to_scores, rate);
        self.reader.update(of_reader, &gradients, rate);
    }
}

/// The states of each prompt, its tokens added up by how much the net looks at each: (prompts, width).
fn pooled(looks: &[f32], states: &States, prompts: &[usize]) -> Vec<f32> {
    let kernels = Kernels::best();
    let mut pooled = vec![0.0; prompts.len() * states.width];
    for (&prompt, pooled) in prompts.iter().zip(pooled.chunks_exact_mut(states.width)) {
        for (&look, token) in looks.iter().zip(states.tokens_of(prompt)) {
            kernels.add_scaled(look, token, pooled);
        }
    }
    pooled
}

/// The gradient with respect to the scores, given that with respect to the pooled states.
fn scores_gradient(looks: &[f32], states: &States, prompts: &[usize], to_pooled: &[f32]) -> Vec<f32> {
    let kernels = Kernels::best();
    // For each token its products with `to_pooled`, added up over the prompts; their sums are the gradient of the looks.
    let mut products = vec![0.0; states.tokens * states.width];
    for (&prompt, to_pooled) in prompts.iter().zip(to_pooled.chunks_exact(states.width)) {
        for (token, products) in states.tokens_of(prompt).zip(products.chunks_exact_mut(states.width)) {
            kernels.add_product(token, to_pooled, products);
        }
    }
    let of_looks: Vec<f32> =
        products.chunks_exact(states.width).map(|of_token| of_token.iter().sum()).collect();
    let mean: f32 = looks.iter().zip(&of_looks).map(|(look, d)| look * d).sum();
    looks.iter().zip(&of_looks).map(|(look, d)| look * (d - mean)).collect()
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
