//! The small models that parts are checked in.

use std::fmt::Debug;

use candle_core::Device;
use looped_core::graph::{At, Block, Graph, Heads, Linear, Norm, Params, Value};
use looped_core::{BlockConfig, Injector, ModelConfig, ModelDims, ParamStore, Place, Prompts, Rng, typetag};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The parameters and inputs of a check are drawn from this seed.
pub(crate) const SEED: u64 = 11;

/// A looped model of one such block: of 3 coordinates and 6 positions, which are multiples of nothing.
pub(crate) fn model(block: &dyn BlockConfig, injector: &dyn Injector, n_embd: usize) -> ModelConfig {
    ModelConfig::new(
        ModelDims { n_dims: 3, n_positions: 6, n_embd, n_layer: 1 },
        copy("block", &block),
        copy("injector", &injector),
    )
}

/// A config is its table, and so can be read again.
fn copy<T: DeserializeOwned>(what: &str, config: &impl Serialize) -> T {
    serde_json::from_value(serde_json::to_value(config).unwrap())
        .unwrap_or_else(|error| panic!("the {what}'s own table can't be read: {error}"))
}

/// Three prompts of five points.
pub(crate) fn prompts() -> Prompts {
    let mut rng = Rng::stream(SEED, "prompts", 0);
    Prompts::pairs(rng.normals(3 * 5 * 3), rng.normals(3 * 5), [3, 5, 3])
}

/// A model's parameters with noise on each: at their start biases are 0 and weights small, which would hide mistakes.
#[must_use]
pub fn noisy_parameters(graph: &Graph, seed: u64) -> ParamStore {
    let store = ParamStore::new(graph, seed, &Device::Cpu).unwrap();
    for (Place { name, .. }, values) in store.values_mut().named_mut() {
        let noise = Rng::stream(seed, &format!("noise {name}"), 0).normals(values.len());
        values.iter_mut().zip(noise).for_each(|(value, noise)| *value += noise * 0.2);
    }
    store
}

/// The block that injectors are checked with: attention over the tokens so far, each number with a weight of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Mixer {}

#[typetag::serde(name = "looped_testing_mixer")]
impl BlockConfig for Mixer {
    fn build(&self, dims: &ModelDims, params: &mut Params<'_>) -> Box<dyn Block> {
        let width = dims.n_embd;
        let norm = Norm::layer(width, &mut params.scope("norm"));
        let project = Linear::uniform(width, 3 * width, &mut params.scope("project"));
        Box::new(Attention { norm, project })
    }
}

struct Attention {
    norm: Norm,
    project: Linear,
}

impl Block for Attention {
    fn forward<'t>(&self, x: Value<'t>, _: At<'t>) -> Value<'t> {
        x + x.norm(&self.norm).linear(&self.project).attention(Heads::causal(1)).tanh()
    }
}
