//! How many prompts the engine is given, and how long they are.

use looped_core::{Prompts, TokenLayout};
use looped_graph::lower::Shapes;

/// The largest prompts that the engine will be given at a time.
#[derive(Clone, Copy, Debug)]
pub struct PromptShape {
    /// Prompts.
    pub prompts: usize,
    /// How points become tokens.
    pub layout: TokenLayout,
    /// Points in each.
    pub points: usize,
}

impl PromptShape {
    /// That of some prompts.
    pub(crate) fn of(prompts: &Prompts) -> Self {
        Self { prompts: prompts.prompts, layout: prompts.layout, points: prompts.points }
    }

    pub(crate) fn shapes(self) -> Shapes {
        let Self { prompts, layout, points } = self;
        Shapes {
            sequences: prompts,
            tokens: layout.tokens(points),
            reads: layout.reads(points).into(),
            apart: false,
        }
    }
}
