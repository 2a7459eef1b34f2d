//! Models and prompts for the tests; no size is a multiple of another.
#![allow(dead_code, reason = "each test file uses a part")]

use looped_blocks as _;
use looped_core::{Device, ModelConfig, ModelDims, ParamStore, Place, Prompts, Rng};
use looped_reference::ReferenceModel;

pub(crate) const BLOCKS: [&str; 5] = [
    r#"{"type":"transformer","n_head":2}"#,
    r#"{"type":"transformer","n_head":5}"#,
    r#"{"type":"lstm"}"#,
    r#"{"type":"ssm","n_state":3}"#,
    r#"{"type":"sequential","blocks":[{"type":"transformer","n_head":2},{"type":"lstm"},{"type":"ssm","n_state":1}]}"#,
];

pub(crate) const INJECTORS: [&str; 8] = [
    r#"{"type":"full"}"#,
    r#"{"type":"full","operation":"multiply"}"#,
    r#"{"type":"last_n","n":3}"#,
    r#"{"type":"last_n","n":4,"operation":"multiply"}"#,
    r#"{"type":"last_n","n":-1}"#,
    r#"{"type":"first_n","n":3}"#,
    r#"{"type":"first_n","n":0,"operation":"multiply"}"#,
    r#"{"type":"none"}"#,
];

pub(crate) fn config(block: &str, injector: &str) -> ModelConfig {
    ModelConfig::new(
        ModelDims { n_dims: 3, n_positions: 7, n_embd: 10, n_layer: 2 },
        serde_json::from_str(block).unwrap(),
        serde_json::from_str(injector).unwrap(),
    )
}

/// Three prompts of five points, with y of -1 and 1 among others.
pub(crate) fn prompts() -> Prompts {
    let mut rng = Rng::stream(3, "prompts", 0);
    Prompts::pairs(rng.normals(3 * 5 * 3), rng.normals(3 * 5), [3, 5, 3])
}

pub(crate) fn model(block: &str, injector: &str) -> ReferenceModel {
    ReferenceModel::new(config(block, injector).graph().unwrap()).unwrap()
}

/// The model's parameters with noise on each: at their start biases are 0 and weights small, which would hide mistakes.
pub(crate) fn enlivened(model: &ReferenceModel) -> ParamStore {
    let store = ParamStore::new(model.graph(), 3, &Device::Cpu).unwrap();
    for (Place { name, .. }, values) in store.values_mut().named_mut() {
        let noise = Rng::stream(3, &format!("noise {name}"), 0).normals(values.len());
        values.iter_mut().zip(noise).for_each(|(value, noise)| *value += noise * 0.2);
    }
    store
}
