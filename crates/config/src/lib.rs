//! From an experiment file and overrides to a validated experiment.
