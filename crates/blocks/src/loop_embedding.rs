//! A row of a table for each loop.

use looped_core::graph::{At, Param, Value, ops};
use looped_core::{Block, BlockConfig, Init, ModelDims, Params, Problems, schemars, typetag};
use serde::{Deserialize, Serialize};

use crate::mlp::STD;

/// Adds a row of a table to every token, another one in each loop: so the blocks after it can tell the loops apart.
///
/// It stands in a `sequential`, before the blocks that are to know: [`Sequential`](crate::Sequential). The table is the parameter `weight`,
/// (`loops`, D), normal with standard deviation 0.02 at first. `beyond` says what loops get that the table has no row for.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoopEmbedding {
    /// Rows of the table: loops that are told apart.
    #[schemars(range(min = 1, max = 65536))]
    pub loops: usize,
    /// What loops beyond the table get.
    #[serde(default, skip_serializing_if = "Beyond::is_clamp")]
    pub beyond: Beyond,
}

/// What loops get that a table has no row for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Beyond {
    /// Its last row.
    #[default]
    Clamp,
    /// Its rows again, from the first on.
    Wrap,
    /// Where there are more loops than rows, the table is stretched over all of them: the first loop gets the first row, the last loop the last
    /// row, and each between them what lies linearly between two rows.
    Interpolate,
}

impl Beyond {
    pub(crate) fn is_clamp(&self) -> bool {
        *self == Self::Clamp
    }
}

impl From<Beyond> for ops::Beyond {
    fn from(beyond: Beyond) -> Self {
        match beyond {
            Beyond::Clamp => Self::Clamp,
            Beyond::Wrap => Self::Wrap,
            Beyond::Interpolate => Self::Interpolate,
        }
    }
}

#[typetag::serde(name = "loop_embedding")]
impl BlockConfig for LoopEmbedding {
    fn validate(&self, _: &ModelDims, problems: &mut Problems) {
        problems.require((1..=65536).contains(&self.loops), "loops", || {
            format!("is {}; allowed: 1 to 65536", self.loops)
        });
    }

    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Block> {
        let table = params.get("weight", [self.loops, dims.n_embd], Init::Normal { std: STD });
        Box::new(Rows { table, beyond: self.beyond.into() })
    }
}

looped_core::register!(Block, "loop_embedding", LoopEmbedding);

struct Rows {
    table: Param,
    beyond: ops::Beyond,
}

impl Block for Rows {
    fn forward<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t> {
        x + at.by_loop_or(self.table, self.beyond)
    }
}
