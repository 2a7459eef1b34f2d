//! The sizes of a model.

/// The sizes that every part of a model may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelDims {
    /// Width of x.
    pub n_dims: usize,
    /// Most points a prompt may have.
    pub n_positions: usize,
    /// Width of the state.
    pub n_embd: usize,
    /// Blocks in one loop.
    pub n_layer: usize,
}
