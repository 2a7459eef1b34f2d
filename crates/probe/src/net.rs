//! The small net that reads a vector from the state of a prompt.
//!
//! ```text
//! pooled = sum over tokens t of softmax(s)_t Z_t        read = W_2 relu(W_1 pooled + b_1) + b_2
//! ```
//!
//! The scores s are learnt with the rest, one for each token's place, so that the net finds for itself where to look.

use std::ops::Range;

use candle_core::Tensor;
use looped_core::nn::{Linear, softmax};
use looped_core::{Init, ParamStore, Result, Rng};
use looped_train::{Adam, Gradients};

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
    scores: Tensor,
    hidden: Linear,
    output: Linear,
}

impl Net {
    /// Learns to read `targets` (prompts, coordinates) from `states` (tokens, prompts, width), on the prompts from
    /// `first` on; `seed` decides the rest.
    pub(crate) fn fit(states: &Tensor, targets: &Tensor, first: usize, seed: u64) -> Result<Self> {
        let (tokens, prompts, width) = states.dims3()?;
        let mut store = ParamStore::new(seed, states.device());
        let mut params = store.trainable();
        let net = Self {
            scores: params.get("scores", (1, tokens), Init::Zeros)?,
            hidden: Linear::uniform(width, HIDDEN, &mut params.scope("hidden"))?,
            output: Linear::uniform(HIDDEN, targets.dim(1)?, &mut params.scope("output"))?,
        };
        let mut adam = Adam::new(&store, LEARNING_RATE, 0.0).map_err(plain)?;
        let mut order =
            Order { prompts: first..prompts, waiting: Vec::new(), rng: Rng::stream(seed, "probe order", 0) };
        let batch = BATCH.min(prompts - first);
        for step in 0..STEPS {
            adam.set_learning_rate(LEARNING_RATE * (STEPS - step) as f64 / STEPS as f64);
            let rows = Tensor::from_vec(order.next(batch), batch, states.device())?;
            let read = net.read(&states.index_select(&rows, 1)?)?;
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

    /// What it reads from `states` (tokens, prompts, width): (prompts, coordinates).
    pub(crate) fn read(&self, states: &Tensor) -> Result<Tensor> {
        let (tokens, prompts, width) = states.dims3()?;
        // Tokens come first, so that pooling is one product for all prompts.
        let pooled = softmax(&self.scores)?.matmul(&states.reshape((tokens, prompts * width))?)?;
        self.output.forward(&self.hidden.forward(&pooled.reshape((prompts, width))?)?.relu()?)
    }
}

/// Prompts in random order, over and over.
struct Order {
    prompts: Range<usize>,
    waiting: Vec<u32>,
    rng: Rng,
}

impl Order {
    fn next(&mut self, rows: usize) -> Vec<u32> {
        while self.waiting.len() < rows {
            let pass = self.rng.permutation(self.prompts.len());
            self.waiting.extend(pass.into_iter().map(|i| (self.prompts.start + i) as u32));
        }
        self.waiting.drain(..rows).collect()
    }
}

/// The optimiser's error: one of tensors, since the parameters are the net's own.
fn plain(error: looped_train::TrainError) -> looped_core::Error {
    looped_core::Error::Parameters(error.to_string())
}
