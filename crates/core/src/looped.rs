//! The looped model: read-in, loop, read-out (Yang et al., arXiv 2311.12424, section 3).
//!
//! A prompt of n points becomes 2n tokens x_1, y_1, x_2, y_2, ... and is embedded once: E. Then, from Z_0,
//!
//! ```text
//! Z_{l+1} = LayerNorm(blocks(inject(Z_l, E) + positions))        prediction_l = read_out(Z_{l+1} at the x tokens)
//! ```
//!
//! so positions and the final norm are applied in every loop. Blocks are causal: the prediction at x_i has seen the
//! points before it, and one prompt trains every context length.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{D, Tensor};

use crate::nn::{LayerNorm, Linear};
use crate::{Block, Init, LoopStep, Memory, ModelConfig, ParamStore, Params, Result};

/// How often to loop, and how many of the last loops carry the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopPlan {
    /// Loops in all.
    pub loops: usize,
    /// The last loops, that carry gradient and give predictions; more than `loops` means all.
    pub window: usize,
}

/// A looped model over the parameters of a [`ParamStore`].
pub struct LoopedModel {
    config: Arc<ModelConfig>,
    /// Records gradients.
    live: Stack,
    /// The same parameters without gradients.
    frozen: Stack,
}

impl LoopedModel {
    /// Builds the model; parameters that `store` doesn't hold yet are drawn from its seed.
    ///
    /// # Errors
    /// If the config can't be built, or the store holds parameters of other shapes.
    pub fn build(config: Arc<ModelConfig>, store: &mut ParamStore) -> Result<Self> {
        let live = Stack::build(&config, &mut store.trainable())?;
        let frozen = Stack::build(&config, &mut store.frozen())?;
        Ok(Self { config, live, frozen })
    }

    /// Name and shape of every parameter that `config` asks for, in name order; nothing is allocated.
    ///
    /// # Errors
    /// If the config can't be built.
    pub fn outline(config: &ModelConfig) -> Result<BTreeMap<String, Vec<usize>>> {
        if config.without_candle_form().is_some()
            && let Some(graph) = config.graph()?
        {
            return Ok(graph.params().iter().map(|info| (info.name.clone(), info.dims.clone())).collect());
        }
        let mut store = ParamStore::outlining();
        Stack::build(config, &mut store.trainable())?;
        Ok(store.into_outline().into_iter().map(|(name, shape)| (name, shape.into_dims())).collect())
    }

    /// The config it was built from.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The predictions of the window's loops, with gradient; earlier loops keep no graph.
    ///
    /// # Shapes
    /// `xs` (batch, points, n_dims), `ys` (batch, points); the result is (window, batch, points).
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn forward(&self, xs: &Tensor, ys: &Tensor, plan: LoopPlan) -> Result<Tensor> {
        let tokens = interleave(xs, ys)?;
        let free_loops = plan.loops.saturating_sub(plan.window);
        let mut unroll = Unroll::start(self, &self.live, &tokens)?;
        if free_loops > 0 {
            // Without injection the window's only gradient path is through the state, which is cut here.
            let mut free = Unroll::start(self, &self.frozen, &tokens)?;
            for _ in 0..free_loops {
                free.step()?;
            }
            unroll.enter(&free);
        }
        let predictions =
            (free_loops..plan.loops).map(|_| unroll.step_and_predict()).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::stack(&predictions, 0)?)
    }

    /// The predictions of every loop, without gradient.
    ///
    /// # Shapes
    /// `xs` (batch, points, n_dims), `ys` (batch, points); the result is (loops, batch, points).
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn predict(&self, xs: &Tensor, ys: &Tensor, loops: usize) -> Result<Tensor> {
        let mut unroll = Unroll::start(self, &self.frozen, &interleave(xs, ys)?)?;
        let predictions = (0..loops).map(|_| unroll.step_and_predict()).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::stack(&predictions, 0)?)
    }

    /// The state after every loop, without gradient; token 2i is x_i, token 2i + 1 is y_i.
    ///
    /// # Shapes
    /// `xs` (batch, points, n_dims), `ys` (batch, points); each state is (batch, 2 points, width).
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn states(
        &self,
        xs: &Tensor,
        ys: &Tensor,
        loops: usize,
        mut each: impl FnMut(usize, &Tensor) -> Result<()>,
    ) -> Result<()> {
        let mut looping = self.looping(xs, ys)?;
        for index in 0..loops {
            each(index, &looping.next_state()?)?;
        }
        Ok(())
    }

    /// The loops over one batch, without gradient, to be run one at a time.
    ///
    /// # Shapes
    /// `xs` (batch, points, n_dims), `ys` (batch, points).
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn looping(&self, xs: &Tensor, ys: &Tensor) -> Result<Looping<'_>> {
        let mut unroll = Unroll::start(self, &self.frozen, &interleave(xs, ys)?)?;
        Ok(Looping::new(move || {
            unroll.step()?;
            unroll.whole_state()
        }))
    }
}

/// A batch between two loops of a model.
pub struct Looping<'a>(Box<dyn FnMut() -> Result<Tensor> + Send + 'a>);

impl<'a> Looping<'a> {
    /// `next` runs one loop and gives the state after it.
    #[must_use]
    pub fn new(next: impl FnMut() -> Result<Tensor> + Send + 'a) -> Self {
        Self(Box::new(next))
    }

    /// Runs one loop; the state after it is (batch, 2 points, width).
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn next_state(&mut self) -> Result<Tensor> {
        (self.0)()
    }
}

/// Token 2i is x_i, token 2i + 1 is (y_i, 0, ..., 0): (batch, 2 points, n_dims).
fn interleave(xs: &Tensor, ys: &Tensor) -> Result<Tensor> {
    let (batch, points, n_dims) = xs.dims3()?;
    let ys = ys.unsqueeze(2)?;
    let ys = if n_dims > 1 { ys.pad_with_zeros(2, 0, n_dims - 1)? } else { ys };
    Ok(Tensor::stack(&[xs, &ys], 2)?.reshape((batch, 2 * points, n_dims))?)
}

/// The layers, with or without gradients.
struct Stack {
    read_in: Linear,
    positions: Tensor,
    blocks: Vec<Box<dyn Block>>,
    norm: LayerNorm,
    read_out: Linear,
}

impl Stack {
    fn build(config: &ModelConfig, params: &mut Params<'_>) -> Result<Self> {
        let dims = config.dims();
        let read_in = Linear::uniform(dims.n_dims, dims.n_embd, &mut params.scope("_read_in"))?;
        let read_out = Linear::uniform(dims.n_embd, 1, &mut params.scope("_read_out"))?;
        let mut backbone = params.scope("_backbone.transformer");
        let rows = 2 * dims.n_positions + 1;
        let positions =
            backbone.scope("wpe").get("weight", (rows, dims.n_embd), Init::Normal { std: 0.02 })?;
        let blocks = (0..dims.n_layer)
            .map(|i| config.block.build(&dims, &mut backbone.scope(format_args!("h.{i}"))))
            .collect::<Result<Vec<_>>>()?;
        let norm = LayerNorm::new(dims.n_embd, &mut backbone.scope("ln_f"))?;
        Ok(Self { read_in, positions, blocks, norm, read_out })
    }

    /// Adds the positions of the tokens from `first` on.
    fn placed(&self, z: &Tensor, first: usize) -> Result<Tensor> {
        Ok(z.broadcast_add(&self.positions.narrow(0, first, z.dim(1)?)?)?)
    }

    /// One prediction per token: (batch, tokens).
    fn read_out(&self, state: &Tensor) -> Result<Tensor> {
        Ok(self.read_out.forward(state)?.squeeze(D::Minus1)?)
    }

    /// The output and memories of a prefix, unless a block can't be split.
    fn prefill(&self, input: &Tensor) -> Result<Option<(Tensor, Vec<Memory>)>> {
        let mut hidden = self.placed(input, 0)?;
        let mut memories = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let Some((output, memory)) = block.prefill(&hidden)? else { return Ok(None) };
            memories.push(memory);
            hidden = output;
        }
        Ok(Some((self.norm.forward(&hidden)?, memories)))
    }

    /// The backbone over the tokens after a prefix.
    fn extend(&self, input: &Tensor, first: usize, memories: &[Memory]) -> Result<Tensor> {
        let mut hidden = self.placed(input, first)?;
        for (block, memory) in self.blocks.iter().zip(memories) {
            hidden = block.extend(&hidden, memory)?;
        }
        self.norm.forward(&hidden)
    }

    /// The backbone over all tokens.
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut hidden = self.placed(input, 0)?;
        for block in &self.blocks {
            hidden = block.forward(&hidden)?;
        }
        self.norm.forward(&hidden)
    }
}

/// What the tokens before the last n give, the same in every loop.
struct Prefix {
    output: Tensor,
    predictions: Tensor,
    memories: Vec<Memory>,
}

/// The loops over one batch: the state, and all that stays the same between loops.
struct Unroll<'a> {
    model: &'a LoopedModel,
    stack: &'a Stack,
    /// The embedded tokens that are looped over.
    input: Tensor,
    state: Tensor,
    prefix: Option<Prefix>,
    index: usize,
    tokens: usize,
    first_token: usize,
}

impl<'a> Unroll<'a> {
    fn start(model: &'a LoopedModel, stack: &'a Stack, tokens: &Tensor) -> Result<Self> {
        let injector = model.config.injector.as_ref();
        let input = stack.read_in.forward(tokens)?;
        let state = injector.initial(&input)?;
        let count = input.dim(1)?;
        let mut unroll =
            Self { model, stack, input, state, prefix: None, index: 0, tokens: count, first_token: 0 };
        let invariant = injector.invariant_prefix(count);
        if invariant > 0 {
            unroll.split(invariant)?;
        }
        Ok(unroll)
    }

    /// Computes the first `invariant` tokens for all loops, if the blocks can be split there.
    fn split(&mut self, invariant: usize) -> Result<()> {
        let at = LoopStep { index: 0, tokens: self.tokens, first_token: 0 };
        let injected = self.model.config.injector.inject(&self.state, &self.input, at)?;
        let Some((output, memories)) = self.stack.prefill(&injected.narrow(1, 0, invariant)?)? else {
            return Ok(());
        };
        let rest = self.tokens - invariant;
        self.prefix = Some(Prefix { predictions: self.stack.read_out(&output)?, output, memories });
        self.input = self.input.narrow(1, invariant, rest)?;
        self.state = self.state.narrow(1, invariant, rest)?;
        self.first_token = invariant;
        Ok(())
    }

    /// Takes over the state of loops that ran without gradient.
    fn enter(&mut self, earlier: &Unroll<'_>) {
        self.state = earlier.state.clone();
        self.index = earlier.index;
    }

    /// Runs one loop.
    fn step(&mut self) -> Result<()> {
        let at = LoopStep { index: self.index, tokens: self.tokens, first_token: self.first_token };
        self.index += 1;
        if self.first_token == self.tokens {
            return Ok(());
        }
        let injected = self.model.config.injector.inject(&self.state, &self.input, at)?;
        self.state = match &self.prefix {
            None => self.stack.forward(&injected)?,
            Some(prefix) => self.stack.extend(&injected, self.first_token, &prefix.memories)?,
        };
        Ok(())
    }

    /// Runs one loop and predicts every y: (batch, points).
    fn step_and_predict(&mut self) -> Result<Tensor> {
        self.step()?;
        let mut parts = Vec::with_capacity(2);
        parts.extend(self.prefix.as_ref().map(|prefix| prefix.predictions.clone()));
        if self.first_token < self.tokens {
            parts.push(self.stack.read_out(&self.state)?);
        }
        let predictions = Tensor::cat(&parts, 1)?;
        let (batch, tokens) = predictions.dims2()?;
        // The even tokens are the x.
        Ok(predictions.reshape((batch, tokens / 2, 2))?.narrow(2, 0, 1)?.squeeze(2)?)
    }

    /// The state of all tokens.
    fn whole_state(&self) -> Result<Tensor> {
        Ok(match &self.prefix {
            None => self.state.clone(),
            Some(prefix) if self.first_token == self.tokens => prefix.output.clone(),
            Some(prefix) => Tensor::cat(&[&prefix.output, &self.state], 1)?,
        })
    }
}
