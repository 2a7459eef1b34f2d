//! One learning rate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Schedule;

/// The same learning rate at every step.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Constant {}

#[typetag::serde(name = "constant")]
impl Schedule for Constant {
    fn factor(&self, _: usize, _: usize) -> f64 {
        1.0
    }
}

crate::register!(Schedule, "constant", Constant);
