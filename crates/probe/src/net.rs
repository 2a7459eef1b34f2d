//! The small net that reads a vector from the state of a prompt.
//!
//! ```text
//! pooled = sum over tokens t of softmax(s)_t Z_t        read = W_2 relu(W_1 pooled + b_1) + b_2
//! ```
//!
//! The scores s are learnt with the rest, one for each token's place, so that the net finds for itself where to look.

use candle_core::Tensor;
use looped_core::nn::{Linear, softmax};
use looped_core::{Init, ParamStore, Result, Rng};
use looped_train::{Adam, Gradients};

/// Width of the layer between.
pub const HIDDEN: usize = 64;

/// Updates in training.
const STEPS: usize = 1500;

/// Prompts an update.
const BATCH: usize = 128;

/// The learning rate falls from here to 0, in a line.
const LEARNING_RATE: f64 = 1e-2;

/// A net and the place it has learnt to look at.
pub(crate) struct Net {
    scores: Tensor,
    hidden: Linear,
    output: Linear,
}

impl Net {
    /// Learns to read `targets` (prompts, coordinates) from `states` (prompts, tokens, width); `seed` decides the rest.
    pub(crate) fn fit(states: &Tensor, targets: &Tensor, seed: u64) -> Result<Self> {
        let (prompts, tokens, width) = states.dims3()?;
        let mut store = ParamStore::new(seed, states.device());
        let mut params = store.trainable();
        let net = Self {
            scores: params.get("scores", (1, tokens), Init::Zeros)?,
            hidden: Linear::uniform(width, HIDDEN, &mut params.scope("hidden"))?,
            output: Linear::uniform(HIDDEN, targets.dim(1)?, &mut params.scope("output"))?,
        };
        let mut adam = Adam::new(&store, LEARNING_RATE, 0.0).map_err(plain)?;
        let mut order = Order::new(prompts, seed);
        for step in 0..STEPS {
            adam.set_learning_rate(LEARNING_RATE * (STEPS - step) as f64 / STEPS as f64);
            let rows = order.next(BATCH.min(prompts));
            let rows = Tensor::from_vec(rows, BATCH.min(prompts), states.device())?;
            let read = net.read(&states.index_select(&rows, 0)?)?;
            let loss = (read - targets.index_select(&rows, 0)?)?.sqr()?.mean_all()?;
            let mut found = loss.backward()?;
            let mut gradients = Gradients::new();
            for (name, var) in store.iter() {
                let gradient = found.remove(var.as_tensor()).map_or_else(|| var.zeros_like(), Ok)?;
                gradients.insert(name.to_owned(), gradient);
            }
            adam.update(&store, &gradients).map_err(plain)?;
        }
        Ok(net)
    }

    /// What it reads: (prompts, coordinates).
    pub(crate) fn read(&self, states: &Tensor) -> Result<Tensor> {
        let (prompts, tokens, width) = states.dims3()?;
        let weights = softmax(&self.scores)?.expand((prompts, 1, tokens))?.contiguous()?;
        let pooled = weights.matmul(states)?.reshape((prompts, width))?;
        self.output.forward(&self.hidden.forward(&pooled)?.relu()?)
    }
}

/// Prompts in random order, over and over.
struct Order {
    count: usize,
    waiting: Vec<u32>,
    rng: Rng,
}

impl Order {
    fn new(count: usize, seed: u64) -> Self {
        Self { count, waiting: Vec::new(), rng: Rng::stream(seed, "probe order", 0) }
    }

    fn next(&mut self, rows: usize) -> Vec<u32> {
        while self.waiting.len() < rows {
            let pass = self.rng.permutation(self.count);
            self.waiting.extend(pass.into_iter().map(|i| i as u32));
        }
        self.waiting.drain(..rows).collect()
    }
}

/// The optimiser's error: one of tensors, since the parameters are the net's own.
fn plain(error: looped_train::TrainError) -> looped_core::Error {
    looped_core::Error::Parameters(error.to_string())
}
