//! How much memory an engine takes.

use crate::TokenLayout;

/// The largest work that an engine will be given.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Prompts at a time.
    pub prompts: usize,
    /// How points become tokens.
    pub layout: TokenLayout,
    /// Points in each.
    pub points: usize,
    /// Loops of the model.
    pub loops: usize,
    /// How many of the last loops carry gradient and enter the loss; 0 where nothing is trained.
    pub window: usize,
    /// Threads of the engine.
    pub threads: usize,
}

/// Bytes that an engine takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Footprint {
    /// What it keeps from call to call.
    pub kept: f64,
    /// What it gives back at the end of each call, results included.
    pub passing: f64,
}
