//! CPU kernels for the fused engine: products, attention, norms, GELU, the LSTM cell.
