//! The kinds of parts, as arguments.

use clap::ValueEnum;
use looped_core::Kind;

/// The kinds of parts, many of each.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PartKinds {
    #[value(alias = "block")]
    Blocks,
    #[value(alias = "injector")]
    Injectors,
    #[value(alias = "task")]
    Tasks,
    #[value(alias = "baseline")]
    Baselines,
}

impl From<PartKinds> for Kind {
    fn from(kinds: PartKinds) -> Self {
        match kinds {
            PartKinds::Blocks => Self::Block,
            PartKinds::Injectors => Self::Injector,
            PartKinds::Tasks => Self::Task,
            PartKinds::Baselines => Self::Baseline,
        }
    }
}

/// One part of a kind.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PartKind {
    Block,
    Injector,
    Task,
    Baseline,
}

impl From<PartKind> for Kind {
    fn from(kind: PartKind) -> Self {
        match kind {
            PartKind::Block => Self::Block,
            PartKind::Injector => Self::Injector,
            PartKind::Task => Self::Task,
            PartKind::Baseline => Self::Baseline,
        }
    }
}
