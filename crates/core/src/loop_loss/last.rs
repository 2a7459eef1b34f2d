//! The last loop alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LoopLoss, Share};

/// The last loop alone.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LastLoss {}

#[typetag::serde(name = "last")]
impl LoopLoss for LastLoss {
    fn share(&self, index: usize, window: usize, _: Option<usize>) -> Option<Share> {
        (index + 1 == window).then_some(Share::WHOLE)
    }
}

crate::register!(LoopLoss, "last", LastLoss);
