//! Experiments: loading, validating, building, training, checkpoints and run directories.
