//! From an experiment file and overrides to a validated experiment.

mod experiment;

pub use experiment::{EvaluationConfig, Experiment, Training};
