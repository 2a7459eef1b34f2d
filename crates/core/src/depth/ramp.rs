//! The curriculum's loops.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Depth;
use crate::Rng;

/// As many loops as `training.curriculum.loops` says.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RampDepth {}

#[typetag::serde(name = "ramp")]
impl Depth for RampDepth {
    fn follows_curriculum(&self) -> bool {
        true
    }

    fn draw(&self, ramp: usize, _: &mut Rng) -> usize {
        ramp
    }

    fn most(&self, ramp: usize) -> usize {
        ramp
    }

    fn mean(&self, ramp: usize, of: &dyn Fn(usize) -> f64) -> f64 {
        of(ramp)
    }
}

crate::register!(Depth, "ramp", RampDepth);
