//! A plugin's block with one key of every form, its struct open to unknown keys.

use std::collections::BTreeMap;

use looped_core::graph::{At, Value};
use looped_core::{Block, BlockConfig, ModelDims, Params, schemars, typetag};
use serde::{Deserialize, Serialize};

/// Does nothing; in a hurry it forgets its input.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
struct Toy {
    /// How wide.
    width: u8,
    /// How fast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    /// A table of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inner: Option<Inner>,
    /// Two numbers.
    #[serde(default)]
    pair: (f64, f64),
    /// Numbers by name.
    #[serde(default)]
    weights: BTreeMap<String, f64>,
}

#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// In a hurry.
    Fast,
    /// At leisure.
    Slow,
}

#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Inner {
    /// How often.
    rate: f64,
}

#[typetag::serde(name = "toy")]
impl BlockConfig for Toy {
    fn build(&self, _: &ModelDims, _: &mut Params<'_>) -> Box<dyn Block> {
        Box::new(ToyBlock { forgets: matches!(self.mode, Some(Mode::Fast)) })
    }
}

struct ToyBlock {
    forgets: bool,
}

impl Block for ToyBlock {
    fn forward<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t> {
        if self.forgets { at.input } else { x }
    }
}

looped_core::register!(Block, "toy", Toy);
