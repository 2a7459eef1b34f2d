//! What parts are tried in: a small model, its prompts and parameters.

use candle_core::{Device, Tensor};
use looped_core::graph::Graph;
use looped_core::{BlockConfig, Injector, ModelConfig, ParamStore, Prompts, Rng};

/// The parameters and inputs of a check are drawn from this seed.
pub(crate) const SEED: u64 = 11;

/// A looped model of one such block.
pub(crate) fn looped(block: &dyn BlockConfig, n_embd: usize, injector: Box<dyn Injector>) -> ModelConfig {
    // A block's config is its table, and so can be read again.
    let block = serde_json::from_value(serde_json::to_value(block).unwrap())
        .unwrap_or_else(|error| panic!("the block's own table can't be read: {error}"));
    ModelConfig { n_dims: 3, n_positions: 6, n_embd, n_layer: 1, pretrained_path: None, block, injector }
}

/// Three prompts of five points.
pub(crate) fn prompts() -> Prompts {
    let mut rng = Rng::stream(SEED, "prompts", 0);
    Prompts { xs: rng.normals(3 * 5 * 3), ys: rng.normals(3 * 5), prompts: 3, points: 5, n_dims: 3 }
}

/// A model's parameters with noise on each: at their start biases are 0 and weights small, which would hide mistakes.
#[must_use]
pub fn noisy_parameters(graph: &Graph, seed: u64) -> ParamStore {
    let store = ParamStore::new(graph, seed, &Device::Cpu).unwrap();
    for (name, var) in store.iter() {
        let noise = Rng::stream(seed, &format!("noise {name}"), 0).normals(var.elem_count());
        let noise = Tensor::from_vec(noise, var.shape(), &Device::Cpu).unwrap();
        var.set(&(var.as_tensor() + (noise * 0.2).unwrap()).unwrap()).unwrap();
    }
    store
}
