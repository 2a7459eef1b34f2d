//! The kinds of parts, as arguments.

use clap::ValueEnum;
use looped_core::Kind;

/// What `list` is asked for first: a kind, or one component by its type.
#[derive(Clone, Debug)]
pub(crate) enum Listed {
    Kind(PartKinds),
    Type(String),
}

impl std::str::FromStr for Listed {
    type Err = std::convert::Infallible;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Ok(PartKinds::from_str(word, true).map_or_else(|_| Self::Type(word.to_owned()), Self::Kind))
    }
}

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
    #[value(alias = "optimizer")]
    Optimizers,
    #[value(alias = "schedule")]
    Schedules,
    #[value(alias = "depth")]
    Depths,
    #[value(alias = "unroll")]
    Unrolls,
    #[value(alias = "loss")]
    Losses,
    #[value(alias = "regularizer")]
    Regularizers,
    #[value(alias = "engine")]
    Engines,
}

impl From<PartKinds> for Kind {
    fn from(kinds: PartKinds) -> Self {
        match kinds {
            PartKinds::Blocks => Self::Block,
            PartKinds::Injectors => Self::Injector,
            PartKinds::Tasks => Self::Task,
            PartKinds::Baselines => Self::Baseline,
            PartKinds::Optimizers => Self::Optimizer,
            PartKinds::Schedules => Self::Schedule,
            PartKinds::Depths => Self::Depth,
            PartKinds::Unrolls => Self::Unroll,
            PartKinds::Losses => Self::LoopLoss,
            PartKinds::Regularizers => Self::Regularizer,
            PartKinds::Engines => Self::Engine,
        }
    }
}

/// A kind that `looped new` has a template for.
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
