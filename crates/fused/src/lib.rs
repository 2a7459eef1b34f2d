//! The fused CPU engine: analytic forward and backward passes over sharded batches.
