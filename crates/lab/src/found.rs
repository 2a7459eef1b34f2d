//! What a command of the laboratory finds, as it is kept.

use serde::{Deserialize, Serialize};

use crate::{Exits, Match, Stability};

/// What was found of a model after so much training: the contents of `lab/NAME.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Training steps that the model had taken.
    pub trained_steps: usize,
    /// What was found.
    #[serde(flatten)]
    pub found: Found,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Found {
    /// Of `looped match`.
    Match(Box<Match>),
    /// Of `looped exits`.
    Exits(Box<Exits>),
    /// Of `looped stability`.
    Stability(Box<Stability>),
}

impl Found {
    /// Its kind, which it is called by if it is given no other name.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Match(_) => "match",
            Self::Exits(_) => "exits",
            Self::Stability(_) => "stability",
        }
    }
}
