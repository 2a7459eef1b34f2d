//! A block as in the Llama models: root-mean-square norms, rotary positions, a gated network, no biases.

use looped_core::graph::{At, Heads, Linear, Norm, Value};
use looped_core::{Block, BlockConfig, ModelDims, Params, Problems, schemars, typetag};
use serde::{Deserialize, Serialize};

use crate::lora::{Adapted, Lora};
use crate::mlp::{STD, residual_std};
use crate::residual::{Beside, NormPlacement, Residual, is_one, one};

/// A transformer block as in the Llama models (Touvron et al., arXiv 2302.13971): causal attention with rotary positions, and a gated network
/// (SwiGLU), each after a root-mean-square norm and beside a residual path, all without biases.
///
/// With `qk_norm`, each head's queries and keys are normed before they are turned (Henry et al., arXiv 2010.04245). The learned positions of the model are
/// added in each loop as with every block. Parameters, with D = `n_embd` and H = `hidden`: `attn_norm`, `attn.qkv` (3D, D), `attn.q_norm` and
/// `attn.k_norm` (D / `n_head`), `attn.proj` (D, D), `mlp_norm`, `mlp.gate` and `mlp.up` (H, D), `mlp.down` (D, H). Weights start as the transformer's.
/// Where `norm` asks for two norms, the second ones are `attn_norm_out` and `mlp_norm_out`.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Llama {
    /// Attention heads; twice as many divide `n_embd`.
    #[schemars(range(min = 1))]
    pub n_head: usize,
    /// Width of the network's hidden layer; not given: 8/3 of `n_embd`, rounded up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub hidden: Option<usize>,
    /// Whether queries and keys are normed.
    #[serde(default = "yes")]
    pub qk_norm: bool,
    /// Where the norms around attention and the network stand.
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

impl Llama {
    const fn beside(&self) -> Beside {
        Beside { norm: self.norm, scale: self.residual_scale }
    }
}

const fn yes() -> bool {
    true
}

#[typetag::serde(name = "llama")]
impl BlockConfig for Llama {
    fn validate(&self, dims: &ModelDims, problems: &mut Problems) {
        let heads = self.n_head;
        problems.require(heads > 0 && dims.n_embd.is_multiple_of(2 * heads), "n_head", || {
            let fits = |h: &usize| dims.n_embd.is_multiple_of(2 * h);
            let near: Vec<String> = (1..=64).filter(fits).map(|h| h.to_string()).collect();
            format!(
                "is {heads}; rotary positions turn pairs, so 2 n_head divides n_embd = {}; allowed: {}",
                dims.n_embd,
                near.join(", ")
            )
        });
        problems.require(self.hidden != Some(0), "hidden", || "is 0; allowed: 1 to 1000000".to_owned());
        self.beside().validate(problems);
        if let Some(lora) = self.lora {
            lora.validate(dims, problems);
        }
    }

    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Block> {
        let (width, heads) = (dims.n_embd, self.n_head);
        let hidden = self.hidden.unwrap_or((8 * width).div_ceil(3));
        let linear = |name: &str, inputs, out, std| {
            Adapted::new(self.lora, params.scope(name), |params| {
                Linear::without_bias(inputs, out, std, params)
            })
        };
        let norm = |name: &str| Norm::rms_of_groups(width, heads, &mut params.scope(name));
        let path =
            |name: &str| Residual::new(self.beside(), name, |name| Norm::rms(width, &mut params.scope(name)));
        Box::new(LlamaBlock {
            attn_path: path("attn_norm"),
            qkv: linear("attn.qkv", width, 3 * width, STD),
            qk_norms: self.qk_norm.then(|| [norm("attn.q_norm"), norm("attn.k_norm")]),
            proj: linear("attn.proj", width, width, residual_std(dims)),
            mlp_path: path("mlp_norm"),
            gate: linear("mlp.gate", width, hidden, STD),
            up: linear("mlp.up", width, hidden, STD),
            down: linear("mlp.down", hidden, width, residual_std(dims)),
            heads: Heads::causal(heads),
        })
    }
}

looped_core::register!(Block, "llama", Llama);

struct LlamaBlock {
    attn_path: Residual,
    qkv: Adapted,
    qk_norms: Option<[Norm; 2]>,
    proj: Adapted,
    mlp_path: Residual,
    gate: Adapted,
    up: Adapted,
    down: Adapted,
    heads: Heads,
}

impl LlamaBlock {
    fn queries_keys_values<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t> {
        let qkv = self.qkv.of(x, at);
        let Some([of_queries, of_keys]) = &self.qk_norms else { return qkv };
        let [queries, keys, values] = qkv.split();
        Value::concat(&[queries.norm(of_queries), keys.norm(of_keys), values])
    }

    fn attention<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t> {
        // Queries and keys are turned: 2 of a row's 3 parts.
        let turned = self.queries_keys_values(x, at).rotary(self.heads.heads, 2, 3);
        self.proj.of(turned.attention(self.heads), at)
    }

    fn network<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t> {
        self.down.of(self.gate.of(x, at).silu() * self.up.of(x, at), at)
    }
}

impl Block for LlamaBlock {
    fn forward<'t>(&self, x: Value<'t>, at: At<'t>) -> Value<'t> {
        let x = self.attn_path.around(x, |x| self.attention(x, at));
        self.mlp_path.around(x, |x| self.network(x, at))
    }
}
