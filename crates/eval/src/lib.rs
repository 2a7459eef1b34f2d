//! Baselines, metrics and evaluation suites.
