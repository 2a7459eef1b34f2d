//! The mean over the last loops.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LoopLoss, Share};

/// The last `n_loss_loops` of those with gradient, each as much (Yang et al., arXiv 2311.12424).
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UniformLoss {}

#[typetag::serde(name = "uniform")]
impl LoopLoss for UniformLoss {
    fn takes_count(&self) -> bool {
        true
    }

    fn share(&self, index: usize, window: usize, counted: Option<usize>) -> Option<Share> {
        let among = counted.unwrap_or(window).min(window);
        (index + among >= window).then_some(Share { of: 1.0, among })
    }
}

crate::register!(LoopLoss, "uniform", UniformLoss);
