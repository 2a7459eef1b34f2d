//! The block `part_name`: a starting point that trains. Change its config, its map and this text to yours.

use looped_core::graph::{At, Block, Linear, Params, Value};
use looped_core::{BlockConfig, ModelDims, Problems};
use looped_core::{register, schemars, typetag};
use serde::{Deserialize, Serialize};

/// A gated mean of neighbouring tokens' products: z_t + W_o (q_t * mean over s <= t of k_s * v_{s-1}).
///
/// q, k and v are linear in z, `*` is by coordinate, and v before the first token is 0. A token y_i thus meets its x_i,
/// and the mean of their products is what the averaging estimator needs; attention is not.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartName {
    /// Width of q, k and v, in multiples of `n_embd`.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 64))]
    pub expansion: usize,
}

const fn two() -> usize {
    2
}

#[typetag::serde(name = "part_name")]
impl BlockConfig for PartName {
    fn validate(&self, _: &ModelDims, problems: &mut Problems) {
        problems.require_in(self.expansion, 1..=64, "expansion");
    }

    /// Asks for the parameters, under the names that checkpoints hold them by.
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Block> {
        let (width, inner) = (dims.n_embd, self.expansion * dims.n_embd);
        Box::new(GatedMean {
            project: Linear::uniform(width, 3 * inner, &mut params.scope("project")),
            out: Linear::uniform(inner, width, &mut params.scope("out")),
        })
    }
}

register!(Block, "part_name", PartName);

/// The block with its parameters.
struct GatedMean {
    project: Linear,
    out: Linear,
}

impl Block for GatedMean {
    /// An expression over `z`, the tokens' states. It runs once, when the model is built, and computes nothing: it records
    /// what every engine is to compute. The gradient, the cost, and which tokens need computing only once all follow from it.
    fn forward<'t>(&self, z: Value<'t>, _: At<'t>) -> Value<'t> {
        // A `Value` is a row of numbers for each token. `linear` applies a layer to each row; `split` cuts rows in equal parts.
        let [query, key, value] = z.linear(&self.project).split();

        // `+`, `-`, `*` and `/` work number by number. `shift(1)` gives each token the row of the token before it.
        let product = key * value.shift(1);

        // Tokens see earlier ones through `attention`, or as here through `recur`, which goes from token to token. The closure
        // makes the next states of a token's row and the last states; they start from 0, and are as wide as the list says.
        let width = product.width();
        let [sum, count] = product.recur([width, width], |row, [sum, count]| [sum + row, count + 1.0]);

        // `probe` names a value, to be looked at, and changes nothing.
        let mean = (sum / count).probe("mean");

        // The result is as wide as `z`. Adding `z` itself keeps a path on which the gradient passes unhindered.
        z + (query * mean).linear(&self.out)
    }
}
