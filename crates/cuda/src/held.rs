//! Parameters that stay on the GPU from step to step, with Adam's update there.

use looped_core::{AdamUpdate, Error, Flat, ParamStore, Prompts, Result, Updated};
use looped_gpu::Arena;
use looped_gpu::calls::DECISION;

use crate::model::{CudaModel, Memory, Step, told};

/// Parameters and Adam's state.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The parameters.
    pub values: Flat,
    /// The means of the gradients, and of their squares.
    pub moments: [Flat; 2],
    /// Updates made.
    pub updates: usize,
}

impl CudaModel {
    /// Whether the model is held on the GPU.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.memory().held
    }

    /// Puts the parameters of `store` and Adam's state on the GPU, where they stay. From now on the GPU's are the model's: predictions are
    /// made with them.
    ///
    /// # Errors
    /// If the parameters or the moments aren't the model's, or the GPU fails.
    pub fn hold(&self, store: &ParamStore, moments: [&Flat; 2], updates: usize) -> Result<()> {
        let values = Flat::clone(&store.values());
        [&values, moments[0], moments[1]].into_iter().try_for_each(|flat| self.check_flat(flat))?;
        let held = Held { values, moments: moments.map(Flat::clone), updates };
        let mut memory = self.memory();
        let arena = self.arena(&mut memory)?;
        self.keep(&arena, &held)?;
        memory.held = true;
        Ok(())
    }

    /// One training step on what is held: loss, gradients, and Adam's update. Where the gradient isn't finite, nothing changes. `meanwhile` is
    /// called while the GPU works.
    ///
    /// # Errors
    /// If nothing is held, the prompts don't fit the model, no loop enters the loss, or the GPU fails.
    pub fn update(
        &self,
        prompts: &Prompts,
        step: Step,
        adam: AdamUpdate,
        meanwhile: impl FnOnce(),
    ) -> Result<Updated> {
        let mut memory = self.memory();
        if !memory.held {
            return Err(Error::Device("no parameters are held on the GPU".to_owned()));
        }
        let arena = self.prepare_step(&mut memory, prompts, step, true)?;
        let AdamUpdate { learning_rate, betas: [beta_1, beta_2], eps, weight_decay, largest_norm } = adam;
        let settings = [learning_rate, largest_norm, beta_1, beta_2, eps, weight_decay];
        arena.write_doubles(self.front.settings, &settings).map_err(told)?;
        self.run_last(&mut memory)?;
        meanwhile();
        let found = arena.read_floats(self.front.told).map_err(told)?;
        Ok(Updated { loss: f64::from(found[DECISION]), norm: f64::from(found[0]) })
    }

    /// What is held on the GPU; nothing if nothing is.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn held(&self) -> Result<Option<Held>> {
        self.kept(&self.memory())
    }

    /// The parameters that are held on the GPU; nothing if none are.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn held_values(&self) -> Result<Option<Flat>> {
        let memory = self.memory();
        let Some(arena) = memory.arena.as_ref().filter(|_| memory.held) else { return Ok(None) };
        Ok(Some(self.of_parameters(&arena.read_floats(self.params(self.front.values)).map_err(told)?)))
    }

    /// Replaces the parameters that are held by those of `store`; the moments stay. Nothing happens where nothing is held.
    ///
    /// # Errors
    /// If they aren't the model's own, or the GPU fails.
    pub fn replace(&self, store: &ParamStore) -> Result<()> {
        let memory = self.memory();
        let Some(arena) = memory.arena.as_ref().filter(|_| memory.held) else { return Ok(()) };
        let values = store.values();
        self.check_flat(&values)?;
        arena.write_floats(self.params(self.front.values), &values).map_err(told)
    }

    /// Forgets what is held: from now on a store's parameters are the model's again.
    pub fn release(&self) {
        self.memory().held = false;
    }

    pub(crate) fn kept(&self, memory: &Memory) -> Result<Option<Held>> {
        let Some(arena) = memory.arena.as_ref().filter(|_| memory.held) else { return Ok(None) };
        let read = |span| arena.read_floats(span).map_err(told);
        let flat = |span| read(self.params(span)).map(|all| self.of_parameters(&all));
        let [first, second] = self.front.moments.map(flat);
        // The last number of a decision counts the updates; it is an integer.
        let updates = read(self.front.decision())?[DECISION - 1].to_bits() as usize;
        Ok(Some(Held { values: flat(self.front.values)?, moments: [first?, second?], updates }))
    }

    /// Puts what is held in place.
    pub(crate) fn keep(&self, arena: &Arena, held: &Held) -> Result<()> {
        arena.write_floats(self.params(self.front.values), &held.values).map_err(told)?;
        for (span, values) in self.front.moments.into_iter().zip(&held.moments) {
            arena.write_floats(self.params(span), values).map_err(told)?;
        }
        let mut decision = [0; DECISION];
        decision[DECISION - 1] = held.updates as i32;
        arena.write_ints(self.front.decision(), &decision).map_err(told)
    }
}
