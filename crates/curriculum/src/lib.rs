//! How hard the prompts are at each training step: integers only, no tensors.
