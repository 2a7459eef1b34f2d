//! One loop forward or backward, on a thread's own memory.

use looped_core::fused::{Backward, Chunk, Forward, Scratch, cut, cut_len};
use looped_ops::AlignedBuffer;

use crate::stack::{Sizes, Stack, Statistics};

/// A thread's workbench: room for what doesn't outlive a loop. It grows to what the largest chunk needs, and stays.
#[derive(Default)]
pub(crate) struct Bench {
    /// A state, or the blocks' output.
    pub(crate) z: AlignedBuffer,
    /// The gradient that a backward pass begins and ends with.
    pub(crate) d: AlignedBuffer,
    other_d: AlignedBuffer,
    mean: AlignedBuffer,
    inverse_std: AlignedBuffer,
    scratch: AlignedBuffer,
    pub(crate) kernel_scratch: Scratch,
}

/// The memories that connect a prefix with what follows: KV caches, recurrent states.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) values: AlignedBuffer,
    /// The gradient with respect to them.
    pub(crate) derivative: AlignedBuffer,
}

/// What a loop leaves for its backward pass.
pub(crate) struct Slot<'a> {
    /// The blocks' input.
    pub(crate) x: &'a mut [f32],
    pub(crate) tape: &'a mut [f32],
    /// The blocks' output.
    pub(crate) y: &'a mut [f32],
}

impl<'a> Slot<'a> {
    fn lens(sizes: Sizes<'_>, chunk: Chunk) -> [usize; 3] {
        let state = sizes.state_len(chunk);
        [state, sizes.backbone.tape_len(chunk), state]
    }

    pub(crate) fn len(sizes: Sizes<'_>, chunk: Chunk) -> usize {
        cut_len(&Self::lens(sizes, chunk))
    }

    pub(crate) fn of(buffer: &'a mut [f32], stack: &Stack<'_>, chunk: Chunk) -> Self {
        let [x, tape, y] = cut(buffer, Self::lens(stack.sizes(), chunk));
        Self { x, tape, y }
    }
}

impl Bench {
    /// Floats of all that [`Bench::fit`] makes room for.
    pub(crate) fn len(sizes: Sizes<'_>, chunk: Chunk, training: bool) -> usize {
        let states = if training { 3 } else { 1 };
        states * sizes.state_len(chunk) + 2 * chunk.rows() + sizes.backbone.scratch_len(chunk)
    }

    /// Makes room for passes over `chunk`, without backward ones if not `training`.
    fn fit(&mut self, stack: &Stack<'_>, chunk: Chunk, training: bool) {
        let state = stack.state_len(chunk);
        self.z.resize(state);
        self.mean.resize(chunk.rows());
        self.inverse_std.resize(chunk.rows());
        self.scratch.resize(stack.sizes().backbone.scratch_len(chunk));
        if training {
            self.d.resize(state);
            self.other_d.resize(state);
        }
    }

    /// The blocks of one loop, and what backward passes and later tokens need of them.
    pub(crate) fn record(
        &mut self,
        stack: &Stack<'_>,
        chunk: Chunk,
        slot: Slot<'_>,
        before: &[f32],
        memory: &mut [f32],
    ) {
        self.fit(stack, chunk, true);
        let (scratch, kernel_scratch) = (&mut self.scratch[..], &mut self.kernel_scratch);
        let pass = Forward { before, memory, tape: slot.tape, scratch, kernel_scratch };
        stack.backbone.forward(chunk, slot.x, slot.y, pass);
    }

    /// One loop without record: replaces the blocks' input by the state after them.
    pub(crate) fn advance(
        &mut self,
        stack: &Stack<'_>,
        chunk: Chunk,
        x: &mut [f32],
        before: &[f32],
        memory: &mut [f32],
    ) {
        self.fit(stack, chunk, false);
        let (scratch, kernel_scratch) = (&mut self.scratch[..], &mut self.kernel_scratch);
        let pass = Forward { before, memory, tape: &mut [], scratch, kernel_scratch };
        stack.backbone.forward(chunk, x, &mut self.z, pass);
        let mut statistics = Statistics { mean: &mut self.mean, inverse_std: &mut self.inverse_std };
        stack.norm(&self.z, x, &mut statistics);
    }

    /// Leaves in `z` the state after the blocks' output `y`.
    pub(crate) fn state(&mut self, stack: &Stack<'_>, y: &[f32]) {
        let mut statistics = Statistics { mean: &mut self.mean, inverse_std: &mut self.inverse_std };
        stack.norm(y, &mut self.z, &mut statistics);
    }

    /// The state after the blocks' output `y`.
    pub(crate) fn norm(&mut self, stack: &Stack<'_>, y: &[f32], z: &mut [f32]) {
        let mut statistics = Statistics { mean: &mut self.mean, inverse_std: &mut self.inverse_std };
        stack.norm(y, z, &mut statistics);
    }

    /// One loop backwards: `d`, the gradient with respect to the state after it, joined by that through the predictions
    /// (`slopes`, if they enter the loss), is replaced by the gradient with respect to the blocks' input.
    pub(crate) fn backward(
        &mut self,
        stack: &Stack<'_>,
        chunk: Chunk,
        slot: Slot<'_>,
        slopes: Option<Slopes<'_>>,
        memories: Memories<'_>,
        grads: &mut [f32],
    ) {
        self.fit(stack, chunk, true);
        let mut statistics = Statistics { mean: &mut self.mean, inverse_std: &mut self.inverse_std };
        stack.norm(slot.y, &mut self.z, &mut statistics);
        if let Some(Slopes { points, values }) = slopes {
            stack.read_out_backward(chunk, points, &self.z, values, &mut self.d, grads);
        }
        stack.norm_backward(&self.d, slot.y, &statistics, &mut self.other_d, grads);
        std::mem::swap(&mut self.d, &mut self.other_d);
        let Memories { before, dbefore, dmemory } = memories;
        let pass = Backward {
            before,
            dbefore,
            dmemory,
            tape: slot.tape,
            grads: stack.backbone_grads(grads),
            scratch: &mut self.scratch,
            kernel_scratch: &mut self.kernel_scratch,
        };
        stack.backbone.backward(chunk, slot.x, &mut self.d, pass);
    }
}

/// The memories that a backward pass reads and adds to.
#[derive(Default)]
pub(crate) struct Memories<'a> {
    pub(crate) before: &'a [f32],
    pub(crate) dbefore: &'a mut [f32],
    pub(crate) dmemory: &'a [f32],
}

/// The loss's gradient with respect to each prediction: (sequences, points).
pub(crate) struct Slopes<'a> {
    pub(crate) points: usize,
    pub(crate) values: &'a [f32],
}
