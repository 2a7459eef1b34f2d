//! The vocabulary of looped models: blocks, injectors, tasks, baselines, and the loop itself.
