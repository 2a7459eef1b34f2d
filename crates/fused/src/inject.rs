//! What flows from loop to loop: a state becomes, in place, the blocks' next input, positions included.

use looped_core::fused::Chunk;
use looped_core::{FusedInjection, Kept, Operation};

use crate::stack::Stack;

/// The injection of one chunk's embedded prompts.
pub(crate) struct Injection<'a> {
    kind: FusedInjection,
    chunk: Chunk,
    /// The embedded prompts; with their positions, if they're added.
    input: &'a mut [f32],
}

impl<'a> Injection<'a> {
    /// `input` holds the embedded prompts; `x` becomes the first loop's input: whatever the injection, these with their
    /// positions.
    pub(crate) fn start(
        stack: &Stack<'_>,
        kind: FusedInjection,
        chunk: Chunk,
        input: &'a mut [f32],
        x: &mut [f32],
    ) -> Self {
        x.copy_from_slice(input);
        stack.place(chunk, x);
        if matches!(kind, FusedInjection::Combine { operation: Operation::Add, .. }) {
            input.copy_from_slice(x);
        }
        Self { kind, chunk, input }
    }

    /// The values of each sequence, of those given, whose tokens lose their state. Those before the last n aren't here:
    /// they are a prefix.
    fn lost<'v>(&self, stack: &Stack<'_>, values: &'v mut [f32]) -> impl Iterator<Item = &'v mut [f32]> {
        let kept = match self.kind {
            FusedInjection::Combine { kept: Kept::First(n), .. } => n.min(self.chunk.tokens),
            _ => self.chunk.tokens,
        };
        let from = kept * stack.width;
        values
            .chunks_exact_mut((self.chunk.tokens * stack.width).max(1))
            .map(move |tokens| &mut tokens[from..])
    }

    /// Replaces the states of tokens that lose theirs by the neutral one.
    fn lose(&self, stack: &Stack<'_>, x: &mut [f32]) {
        if let FusedInjection::Combine { operation, kept: Kept::First(_) } = self.kind {
            self.lost(stack, x).for_each(|state| state.fill(operation.neutral()));
        }
    }

    /// Replaces a state by the blocks' input.
    pub(crate) fn apply(&self, stack: &Stack<'_>, x: &mut [f32]) {
        self.lose(stack, x);
        match self.kind {
            FusedInjection::Combine { operation: Operation::Add, .. } => stack.kernels.add(self.input, x),
            FusedInjection::Combine { operation: Operation::Multiply, .. } => {
                stack.kernels.multiply(self.input, x);
                stack.place(self.chunk, x);
            }
            FusedInjection::Keep => stack.place(self.chunk, x),
        }
    }

    /// Whether the backward pass needs the states that were injected.
    pub(crate) fn needs_states(&self) -> bool {
        matches!(self.kind, FusedInjection::Combine { operation: Operation::Multiply, .. })
    }

    /// Replaces `dx`, the gradient with respect to the blocks' input, by that with respect to the injected state, and adds
    /// to that with respect to the embedded prompts. `state`, whose tokens may lose theirs, is empty where it isn't needed, and `None` stands for the state
    /// before the first loop: then what is left in `dx` means nothing.
    pub(crate) fn backward(
        &self,
        stack: &Stack<'_>,
        state: Option<&mut [f32]>,
        dx: &mut [f32],
        dinput: &mut [f32],
        grads: &mut [f32],
    ) {
        match (self.kind, state) {
            // The positions' derivative is the input's: `finish` adds it for all loops.
            (FusedInjection::Combine { operation: Operation::Add, .. }, _) => stack.kernels.add(dx, dinput),
            (FusedInjection::Combine { operation: Operation::Multiply, .. }, Some(state)) => {
                stack.place_backward(self.chunk, dx, grads);
                self.lose(stack, state);
                stack.kernels.add_product(dx, state, dinput);
                stack.kernels.multiply(self.input, dx);
            }
            (FusedInjection::Keep, Some(_)) => stack.place_backward(self.chunk, dx, grads),
            // The first input is the embedded prompts with their positions.
            (_, None) => {
                stack.place_backward(self.chunk, dx, grads);
                stack.kernels.add(dx, dinput);
            }
        }
        self.lost(stack, dx).for_each(|derivative| derivative.fill(0.0));
    }

    /// What is left to add when all loops have added to `dinput`.
    pub(crate) fn finish(&self, stack: &Stack<'_>, dinput: &[f32], grads: &mut [f32]) {
        if matches!(self.kind, FusedInjection::Combine { operation: Operation::Add, .. }) {
            stack.place_backward(self.chunk, dinput, grads);
        }
    }
}
