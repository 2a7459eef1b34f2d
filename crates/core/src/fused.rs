//! What a block offers the fused CPU engine: analytic passes over plain slices, with no graph.
//!
//! The engine shards a batch over threads; each thread takes chunks of a few sequences through all loops, so that
//! their activations stay in its cache. Within a step the weights are packed once and shared. A block that offers no
//! fused form still trains, on the candle engine.

/// The sequences that one call works on. Activations are (sequences, tokens, width), row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// How many sequences.
    pub sequences: usize,
    /// Tokens of each in this call: all of them, a prefix, or those after the prefix.
    pub tokens: usize,
    /// Tokens before them, whose memory is given.
    pub prefix: usize,
}

/// The inputs' type in matrix products; sums are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// bfloat16.
    Bf16,
}

/// A block's fused form, before a step's weights are known.
pub trait FusedBlock: Send + Sync {
    /// Name (below the block's prefix) and number of elements of each parameter, in the order of `weights` in
    /// [`FusedBlock::pack`]; gradients lie one after another in the same order.
    fn parameters(&self) -> Vec<(String, usize)>;

    /// Prepares a step's weights for all threads.
    fn pack(&self, weights: &[&[f32]], precision: Precision) -> Box<dyn PackedBlock>;
}

/// A block with one step's weights.
pub trait PackedBlock: Send + Sync {
    /// Floats that [`PackedBlock::forward`] records on the tape for [`PackedBlock::backward`].
    fn tape_len(&self, chunk: Chunk) -> usize;

    /// Floats of memory that the tokens after a prefix need of `chunk`, the prefix.
    fn memory_len(&self, chunk: Chunk) -> usize;

    /// Floats of scratch space that either pass needs; its contents mean nothing between calls.
    fn scratch_len(&self, chunk: Chunk) -> usize;

    /// Replaces `x` by the block's output.
    ///
    /// `before` is the memory of the prefix (empty when `chunk.prefix` is 0), `tape` is empty when no backward pass
    /// follows, and a non-empty `memory` is filled for the tokens after these.
    fn forward(
        &self,
        chunk: Chunk,
        x: &mut [f32],
        before: &[f32],
        memory: &mut [f32],
        tape: &mut [f32],
        scratch: &mut [f32],
    );

    /// Replaces `dy`, the loss's derivative by the output, by that by the input; adds to `grads` and, for a chunk with
    /// a prefix, to `dbefore`. `dmemory` is the derivative by the memory this chunk gave, or empty.
    #[allow(clippy::too_many_arguments, reason = "the two directions of state are apart on purpose")]
    fn backward(
        &self,
        chunk: Chunk,
        dy: &mut [f32],
        before: &[f32],
        dbefore: &mut [f32],
        dmemory: &[f32],
        tape: &[f32],
        grads: &mut [f32],
        scratch: &mut [f32],
    );
}
