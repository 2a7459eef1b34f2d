//! What a block offers the fused CPU engine: analytic passes over plain slices, with no graph.
//!
//! The engine shards a batch over threads; each thread takes chunks of one or a few sequences through all loops, so that
//! their activations stay in its cache. Within a step the weights are packed once and shared. A block that offers no
//! fused form still trains, on the candle engine.
//!
//! A block's pass writes three kinds of memory, all given by the engine and of the lengths the block asked for: a
//! *tape*, what its backward pass needs of the forward pass; a *memory*, what the tokens after a prefix need of the
//! prefix (a KV cache, a recurrent state); and scratch space. Buffers start on a cache line, and [`cut`] divides
//! them into parts that do.

mod chain;
mod chunk;

pub use chain::Chain;
pub use chunk::{Chunk, Outputs};
pub use looped_ops::{Kernels, Precision, Scratch};

/// How much memory a block's passes work in; known before any weight is.
pub trait FusedSizes: Send + Sync {
    /// Floats that [`PackedBlock::forward`] records on the tape for [`PackedBlock::backward`].
    fn tape_len(&self, chunk: Chunk) -> usize;

    /// Floats of memory that the tokens after a prefix need of `prefix`.
    fn memory_len(&self, prefix: Chunk) -> usize;

    /// Floats of scratch space that either pass needs.
    fn scratch_len(&self, chunk: Chunk) -> usize;
}

/// A block's fused form, before a step's weights are known.
pub trait FusedBlock: FusedSizes {
    /// Name (below the block's prefix) and number of elements of each parameter, in the order of `weights` in
    /// [`FusedBlock::pack`]; gradients lie one after another in the same order.
    fn parameters(&self) -> Vec<(String, usize)>;

    /// How many sequences a chunk should have at least, as far as there are so many. A block that passes over the tokens
    /// one by one, as a recurrent one, has only as many rows in a product; to others the tokens of one sequence are enough.
    fn least_sequences(&self) -> usize {
        1
    }

    /// Prepares a step's weights for all threads.
    fn pack(&self, weights: &[&[f32]], kernels: Kernels) -> Box<dyn PackedBlock>;
}

/// What a forward pass reads and writes besides its input and output.
#[derive(Debug)]
pub struct Forward<'a> {
    /// The memory of the prefix; empty when `chunk.prefix` is 0.
    pub before: &'a [f32],
    /// To be filled for the tokens after these; empty when there are none.
    pub memory: &'a mut [f32],
    /// To be filled for the backward pass; empty when none follows.
    pub tape: &'a mut [f32],
    /// Scratch space; its contents mean nothing before and after.
    pub scratch: &'a mut [f32],
    /// The kernels' own scratch space.
    pub kernel_scratch: &'a mut Scratch,
}

/// What a backward pass reads and writes besides its input and the gradient with respect to it.
#[derive(Debug)]
pub struct Backward<'a> {
    /// The memory of the prefix; empty when `chunk.prefix` is 0.
    pub before: &'a [f32],
    /// The loss's gradient with respect to it, to be added to; as long as `before`.
    pub dbefore: &'a mut [f32],
    /// The gradient with respect to the memory that the forward pass gave; empty if it gave none.
    pub dmemory: &'a [f32],
    /// What the forward pass left; may be overwritten.
    pub tape: &'a mut [f32],
    /// The gradient with respect to the parameters, in their order, to be added to.
    pub grads: &'a mut [f32],
    /// Scratch space; its contents mean nothing before and after.
    pub scratch: &'a mut [f32],
    /// The kernels' own scratch space.
    pub kernel_scratch: &'a mut Scratch,
}

/// A block with one step's weights.
pub trait PackedBlock: Send + Sync {
    /// How much memory its passes work in: what the fused form says that it was packed from.
    fn sizes(&self) -> &dyn FusedSizes;

    /// Computes the block's output.
    ///
    /// # Shapes
    /// `x` and `out` are (sequences, tokens, width).
    fn forward(&self, chunk: Chunk, x: &[f32], out: &mut [f32], pass: Forward<'_>);

    /// Replaces `dy`, the loss's gradient with respect to the output, by that with respect to the input `x`.
    ///
    /// # Shapes
    /// `x` and `dy` are (sequences, tokens, width).
    fn backward(&self, chunk: Chunk, x: &[f32], dy: &mut [f32], pass: Backward<'_>);
}

/// Floats in a cache line.
const LINE: usize = 16;

/// How many floats of a buffer [`cut`] uses for parts of these lengths.
#[must_use]
pub fn cut_len(lens: &[usize]) -> usize {
    lens.iter().map(|len| len.next_multiple_of(LINE)).sum()
}

/// The first parts of a buffer, of the given lengths; each starts on a cache line if the buffer does.
///
/// # Panics
/// If the buffer is shorter than [`cut_len`] says.
#[must_use]
pub fn cut<const N: usize>(buffer: &mut [f32], lens: [usize; N]) -> [&mut [f32]; N] {
    let mut rest = buffer;
    lens.map(|len| {
        let (part, later) = std::mem::take(&mut rest).split_at_mut(len.next_multiple_of(LINE));
        rest = later;
        &mut part[..len]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_start_on_cache_lines_and_have_their_lengths() {
        let mut buffer: Vec<f32> = (0..64u8).map(f32::from).collect();
        let lens = [3, 0, 17, 16];
        assert_eq!(cut_len(&lens), 64);
        let [a, b, c, d] = cut(&mut buffer, lens);
        assert_eq!((a.len(), b.len(), c.len(), d.len()), (3, 0, 17, 16));
        assert_eq!((a[0], c[0], d[0]), (0.0, 16.0, 48.0));
    }
}
