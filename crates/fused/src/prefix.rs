//! The tokens that get the same input in every loop: run once, for all loops.

use looped_core::Prompts;
use looped_core::fused::Chunk;
use looped_ops::AlignedBuffer;

use crate::bench::{Bench, Memories, Memory, Slopes, Slot};
use crate::plan::Loops;
use crate::stack::{Sizes, Stack, interleave};

/// What is kept of the prefixes of one chunk; nothing, where there are none.
#[derive(Default)]
pub(crate) struct Prefix {
    tokens: AlignedBuffer,
    slot: AlignedBuffer,
    slopes: AlignedBuffer,
    /// What the later tokens need.
    pub(crate) memory: Memory,
    /// At the points whose x is in the prefix, of (sequences, points): the same after every loop.
    pub(crate) predictions: AlignedBuffer,
}

impl Prefix {
    /// Floats that are kept of the prefixes of one chunk.
    pub(crate) fn len(sizes: Sizes<'_>, chunk: Chunk, points: usize, training: bool) -> usize {
        let predicted = chunk.sequences * points;
        let memory = if chunk.tokens == 0 { 0 } else { sizes.backbone.memory_len(chunk) };
        let tokens = chunk.rows() * sizes.n_dims;
        match (training, chunk.tokens) {
            (true, 0) => 2 * predicted,
            (true, _) => 2 * (memory + predicted) + tokens + Slot::len(sizes, chunk),
            (false, _) => memory + predicted + tokens + sizes.state_len(chunk),
        }
    }

    /// Runs the prefixes of the prompts from `first` on, keeping what a backward pass needs if `training`.
    pub(crate) fn forward(
        &mut self,
        stack: &Stack<'_>,
        prompts: &Prompts,
        first: usize,
        chunk: Chunk,
        bench: &mut Bench,
        training: bool,
    ) {
        self.memory.values.resize(if chunk.tokens == 0 {
            0
        } else {
            stack.sizes().backbone.memory_len(chunk)
        });
        self.predictions.resize(chunk.sequences * prompts.points);
        if chunk.tokens == 0 {
            return;
        }
        self.tokens.resize(chunk.rows() * stack.n_dims);
        interleave(prompts, first, chunk, &mut self.tokens);
        self.slot.resize(if training { Slot::len(stack.sizes(), chunk) } else { stack.state_len(chunk) });
        // A neutral state leaves the embedded prompts as they are.
        let x = &mut self.slot[..stack.state_len(chunk)];
        stack.embed(&self.tokens, x, &mut bench.kernel_scratch);
        stack.place(chunk, x);
        if training {
            let slot = Slot::of(&mut self.slot, stack, chunk);
            bench.record(stack, chunk, slot, &[], &mut self.memory.values);
            bench.state(stack, Slot::of(&mut self.slot, stack, chunk).y);
            stack.read_out(chunk, prompts.points, &bench.z, &mut self.predictions);
        } else {
            bench.advance(stack, chunk, x, &[], &mut self.memory.values);
            stack.read_out(chunk, prompts.points, x, &mut self.predictions);
        }
    }

    /// The loss of the prefixes' predictions, which count once for every loop that enters it.
    pub(crate) fn loss(&mut self, prompts: &Prompts, first: usize, chunk: Chunk, loops: Loops) -> f64 {
        self.memory.derivative.resize(self.memory.values.len());
        self.memory.derivative.fill(0.0);
        self.slopes.resize(self.predictions.len());
        loops.loss(prompts, first, chunk, loops.counted, &self.predictions, &mut self.slopes)
    }

    /// Adds the gradients, when all loops have added to the memory's derivative.
    pub(crate) fn backward(
        &mut self,
        stack: &Stack<'_>,
        points: usize,
        chunk: Chunk,
        bench: &mut Bench,
        grads: &mut [f32],
    ) {
        if chunk.tokens == 0 {
            return;
        }
        bench.d.resize(stack.state_len(chunk));
        bench.d.fill(0.0);
        let memories = Memories { dmemory: &self.memory.derivative, ..Memories::default() };
        let slot = Slot::of(&mut self.slot, stack, chunk);
        let slopes = Slopes { points, values: &self.slopes };
        bench.backward(stack, chunk, slot, Some(slopes), memories, grads);
        stack.place_backward(chunk, &bench.d, grads);
        stack.embed_backward(&self.tokens, &bench.d, grads, &mut bench.kernel_scratch);
    }
}
