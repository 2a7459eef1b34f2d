//! The tokens that are looped over, in training: loops without record, then the window's, and those backward.

use looped_core::FusedInjection;
use looped_core::Prompts;
use looped_core::fused::{Chunk, Outputs, cut_len};
use looped_ops::AlignedBuffer;

use crate::bench::{Bench, Memories, Memory, Slopes, Slot};
use crate::inject::Injection;
use crate::plan::Loops;
use crate::stack::{Sizes, Stack, interleave};

/// What is kept of one chunk's loops.
#[derive(Default)]
pub(crate) struct Window {
    tokens: AlignedBuffer,
    input: AlignedBuffer,
    dinput: AlignedBuffer,
    /// A slot for each loop of the window, and the last state.
    tape: AlignedBuffer,
    /// The state that enters the window, if it's needed.
    entry: AlignedBuffer,
    predictions: AlignedBuffer,
    /// (counted loops, sequences, points).
    slopes: AlignedBuffer,
}

/// The sequences of a chunk, and how to loop over them.
#[derive(Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) stack: &'a Stack<'a>,
    pub(crate) prompts: &'a Prompts,
    /// The first sequence's prompt.
    pub(crate) first: usize,
    pub(crate) chunk: Chunk,
    pub(crate) injection: FusedInjection,
    pub(crate) loops: Loops,
}

impl Window {
    /// Floats that are kept of one chunk's loops, as many as a machine could never have among them.
    pub(crate) fn len(sizes: Sizes<'_>, chunk: Chunk, points: usize, window: usize, counted: usize) -> f64 {
        let state = sizes.state_len(chunk);
        let predicted = (chunk.sequences * points) as f64;
        let tape = window as f64 * Slot::len(sizes, chunk) as f64 + state as f64;
        tape + 3.0 * state as f64 + (chunk.rows() * sizes.n_dims) as f64 + (counted + 1) as f64 * predicted
    }

    /// Adds the gradients to `grads` and the memory's derivative, and returns the loss.
    pub(crate) fn train(
        &mut self,
        task: Task<'_>,
        memory: &mut Memory,
        bench: &mut Bench,
        grads: &mut [f32],
    ) -> f64 {
        let Task { stack, prompts, first, chunk, injection, loops } = task;
        let (state, slot) = (stack.state_len(chunk), Slot::len(stack.sizes(), chunk));
        let predicted = chunk.sequences * prompts.points;
        self.tokens.resize(chunk.rows() * stack.n_dims);
        self.input.resize(state);
        self.dinput.resize(state);
        self.tape.resize(loops.window * slot + cut_len(&[state]));
        self.predictions.resize(predicted);
        self.slopes.resize(loops.counted * predicted);

        interleave(prompts, first, chunk, &mut self.tokens);
        stack.embed(&self.tokens, &mut self.input, &mut bench.kernel_scratch);
        let x = &mut self.tape[..state];
        let injection = Injection::start(stack, injection, chunk, &mut self.input, x);
        for index in 0..loops.free {
            bench.advance(stack, chunk, x, &memory.values, &mut []);
            if index + 1 == loops.free && injection.needs_states() {
                self.entry.resize(state);
                self.entry.copy_from_slice(x);
            }
            injection.apply(stack, x);
        }

        // After the last loop nothing reads the state but the predictions.
        let last = Chunk { outputs: Outputs::Predictions, ..chunk };
        let at = |index: usize| if index + 1 == loops.window { last } else { chunk };
        let uncounted = loops.window - loops.counted;
        let mut loss = 0.0;
        for index in 0..loops.window {
            let (own, next) = self.tape[index * slot..].split_at_mut(slot);
            let (next, chunk) = (&mut next[..state], at(index));
            bench.record(stack, chunk, Slot::of(own, stack, chunk), &memory.values, &mut []);
            bench.norm(stack, Slot::of(own, stack, chunk).y, next);
            if let Some(counted) = index.checked_sub(uncounted) {
                stack.read_out(chunk, prompts.points, next, &mut self.predictions);
                let slopes = &mut self.slopes[counted * predicted..][..predicted];
                loss += loops.loss(prompts, first, chunk, 1, &self.predictions, slopes);
            }
            if index + 1 < loops.window {
                injection.apply(stack, next);
            }
        }

        self.dinput.fill(0.0);
        bench.d.fill(0.0);
        for index in (0..loops.window).rev() {
            let slopes = index.checked_sub(uncounted).map(|counted| {
                let values = &self.slopes[counted * predicted..][..predicted];
                Slopes { points: prompts.points, values }
            });
            let (earlier, own) = self.tape.split_at_mut(index * slot);
            let memories = Memories { before: &memory.values, dbefore: &mut memory.derivative, dmemory: &[] };
            let own = Slot::of(own, stack, at(index));
            bench.backward(stack, at(index), own, slopes, memories, grads);
            let injected: Option<&mut [f32]> = if index == 0 && loops.free == 0 {
                None
            } else if !injection.needs_states() {
                Some(&mut [])
            } else if index == 0 {
                Some(&mut self.entry)
            } else {
                bench.state(stack, Slot::of(&mut earlier[(index - 1) * slot..], stack, chunk).y);
                Some(&mut bench.z)
            };
            injection.backward(stack, injected, &mut bench.d, &mut self.dinput, grads);
        }
        injection.finish(stack, &self.dinput, grads);
        stack.embed_backward(&self.tokens, &self.dinput, grads, &mut bench.kernel_scratch);
        loss
    }
}
