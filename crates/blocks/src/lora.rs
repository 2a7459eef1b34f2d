//! Changes of low rank to a block's weights, others in each loop.

use looped_core::graph::{At, Linear, Param, Value, ops};
use looped_core::{Init, ModelDims, Params, Problems, schemars};
use serde::{Deserialize, Serialize};

use crate::Beyond;

/// In loop l each of a block's weights W is W + B_l A_l: A_l gives `rank` numbers of a row, and B_l makes of them what is added (Bae et al.,
/// arXiv 2410.20672; LoRA: Hu et al., arXiv 2106.09685).
///
/// Of a weight (out, in), the parameters are `lora_a` (`loops`, `rank` times in), uniform in +-1/sqrt(in) at first, and `lora_b` (`loops`,
/// out times `rank`), 0 at first, beside `weight`. A row of each is a matrix, row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lora {
    /// The rank of each change.
    #[schemars(range(min = 1, max = 65536))]
    pub rank: usize,
    /// Loops with changes of their own.
    #[schemars(range(min = 1, max = 65536))]
    pub loops: usize,
    /// What loops beyond them get.
    #[serde(default, skip_serializing_if = "Beyond::is_clamp")]
    pub beyond: Beyond,
}

impl Lora {
    pub(crate) fn validate(self, dims: &ModelDims, problems: &mut Problems) {
        problems.within("lora", |problems| {
            let (rank, width) = (self.rank, dims.n_embd);
            problems.require((1..=width).contains(&rank), "rank", || {
                format!("is {rank}; allowed: 1 to n_embd, {width}")
            });
            problems.require_in(self.loops, 1..=65536, "loops");
        });
    }
}

/// A layer, with its changes by loop, if it has any.
pub(crate) struct Adapted {
    layer: Linear,
    change: Option<Change>,
}

struct Change {
    rank: usize,
    beyond: ops::Beyond,
    a: Param,
    b: Param,
}

impl Adapted {
    /// `layer` makes the layer, below a scope of its own.
    pub(crate) fn new<'t>(
        lora: Option<Lora>,
        mut params: Params<'t>,
        layer: impl FnOnce(&mut Params<'t>) -> Linear,
    ) -> Self {
        let layer = layer(&mut params);
        let change = lora.map(|Lora { rank, loops, beyond }| {
            let bound = 1.0 / (layer.inputs as f64).sqrt();
            let a = params.get("lora_a", [loops, rank * layer.inputs], Init::Uniform { bound });
            let b = params.get("lora_b", [loops, layer.out * rank], Init::Zeros);
            Change { rank, beyond: beyond.into(), a, b }
        });
        Self { layer, change }
    }

    pub(crate) fn of<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t> {
        let y = x.linear(&self.layer);
        let Some(Change { rank, beyond, a, b }) = self.change else { return y };
        y + x.product(at.by_loop_or(a, beyond), rank).product(at.by_loop_or(b, beyond), self.layer.out)
    }
}
