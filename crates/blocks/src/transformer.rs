//! The GPT-2 block: x + attn(LN(x)), then x + mlp(LN(x)); or the norms elsewhere.

use looped_core::graph::{At, Heads, Linear, Norm, Value};
use looped_core::{Block, BlockConfig, ModelDims, Params, Problems, schemars, typetag};
use serde::{Deserialize, Serialize};

use crate::lora::{Adapted, Lora};
use crate::mlp::{Mlp, STD, residual_std};
use crate::residual::{Beside, NormPlacement, Residual, is_one, one};

/// Self-attention, causal unless said otherwise, and a two-layer network, each after a layer norm and beside a residual path (GPT-2's block).
///
/// Attention has a joint projection to queries, keys and values with bias, and scale 1/sqrt(head width); the network is
/// D -> 4D -> D with GELU in its tanh form; there is no dropout. Parameters, with D = `n_embd`: `ln_1`, `attn.c_attn`
/// (3D, D), `attn.c_proj` (D, D), `ln_2`, `mlp.c_fc` (4D, D), `mlp.c_proj` (D, 4D). Weights start normal with standard
/// deviation 0.02, those of both `c_proj` with 0.02 / sqrt(2 `n_layer`), biases at 0. Where `norm` asks for two norms, the
/// second ones are `ln_1_out` and `ln_2_out`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transformer {
    /// Attention heads; divides `n_embd`.
    #[schemars(range(min = 1))]
    pub n_head: usize,
    /// Whether a token sees itself and earlier ones only; false is refused for tasks whose targets stand in the prompt.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub causal: bool,
    /// Where the layer norms stand.
    #[serde(default, skip_serializing_if = "NormPlacement::is_pre")]
    pub norm: NormPlacement,
    /// What attention and the network are multiplied by before they join the residual path.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1000))]
    pub residual_scale: f64,
    /// Changes of the weights, others in each loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<Lora>,
}

impl Transformer {
    const fn beside(&self) -> Beside {
        Beside { norm: self.norm, scale: self.residual_scale }
    }
}

const fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_true(value: &bool) -> bool {
    *value
}

#[typetag::serde(name = "transformer")]
impl BlockConfig for Transformer {
    fn validate(&self, dims: &ModelDims, problems: &mut Problems) {
        problems.require(self.n_head > 0 && dims.n_embd.is_multiple_of(self.n_head), "n_head", || {
            let near: Vec<String> = (1..=dims.n_embd.min(64))
                .filter(|h| dims.n_embd.is_multiple_of(*h))
                .map(|h| h.to_string())
                .collect();
            format!(
                "is {}, which does not divide n_embd = {}; allowed: {}",
                self.n_head,
                dims.n_embd,
                near.join(", ")
            )
        });
        self.beside().validate(problems);
        if let Some(lora) = self.lora {
            lora.validate(dims, problems);
        }
    }

    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Block> {
        let width = dims.n_embd;
        let layer = |name: &str, out, std| {
            Adapted::new(self.lora, params.scope(name), |params| Linear::normal(width, out, std, params))
        };
        Box::new(TransformerBlock {
            path: Residual::new(self.beside(), "ln_1", |name| Norm::layer(width, &mut params.scope(name))),
            c_attn: layer("attn.c_attn", 3 * width, STD),
            c_proj: layer("attn.c_proj", width, residual_std(dims)),
            mlp: Mlp::new(dims, self.beside(), self.lora, params),
            heads: Heads { heads: self.n_head, causal: self.causal },
        })
    }

    fn is_causal(&self) -> bool {
        self.causal
    }
}

looped_core::register!(Block, "transformer", Transformer);

struct TransformerBlock {
    path: Residual,
    c_attn: Adapted,
    c_proj: Adapted,
    mlp: Mlp,
    heads: Heads,
}

impl Block for TransformerBlock {
    fn forward<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t> {
        let attention = |x| self.c_proj.of(self.c_attn.of(x, at).attention(self.heads), at);
        self.mlp.forward(self.path.around(x, attention), at)
    }
}
