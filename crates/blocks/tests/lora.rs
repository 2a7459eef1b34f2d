//! Changes of low rank: in each loop the block is the plain one with other weights.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use looped_blocks as _;
use looped_core::{
    Device, Loops, ModelConfig, ModelDims, ParamStore, Place, Predictor, Problems, Prompts, Rng, Tensor,
};
use looped_reference::ReferenceModel;
use looped_testing::noisy_parameters;

const WIDTH: usize = 10;
const LAYERS: [(&str, usize, usize); 4] = [
    ("attn.c_attn", 3 * WIDTH, WIDTH),
    ("attn.c_proj", WIDTH, WIDTH),
    ("mlp.c_fc", 4 * WIDTH, WIDTH),
    ("mlp.c_proj", WIDTH, 4 * WIDTH),
];

fn config(lora: &str) -> ModelConfig {
    ModelConfig::new(
        ModelDims { n_dims: 3, n_positions: 5, n_embd: WIDTH, n_layer: 1 },
        serde_json::from_str(&format!(r#"{{"type":"transformer","n_head":2{lora}}}"#)).unwrap(),
        serde_json::from_str(r#"{"type":"full"}"#).unwrap(),
    )
}

fn model(lora: &str) -> ReferenceModel {
    ReferenceModel::new(config(lora).graph().unwrap()).unwrap()
}

fn prompts() -> Prompts {
    let mut rng = Rng::stream(1, "prompts", 0);
    Prompts::pairs(rng.normals(2 * 4 * 3), rng.normals(2 * 4), [2, 4, 3])
}

fn rows(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The change of a weight that the rows of two tables make, (out, in).
fn change(store: &ParamStore, name: &str, row: usize, out: usize, inputs: usize, rank: usize) -> Tensor {
    let of = |which: &str, shape: (usize, usize)| {
        let table = store.values().tensor(&format!("{name}.lora_{which}"), &Device::Cpu).unwrap();
        table.get(row).unwrap().reshape(shape).unwrap()
    };
    of("b", (out, rank)).matmul(&of("a", (rank, inputs))).unwrap()
}

#[test]
fn each_loop_has_weights_of_its_own() {
    let changed = model(r#","lora":{"rank":2,"loops":3}"#);
    let plain = model("");
    let of_changed = noisy_parameters(changed.graph(), 3);
    let mut by_table = changed.looping(&of_changed, &prompts(), 5).unwrap();
    let mut state = by_table.state().clone();
    for index in 0..5 {
        let store = ParamStore::new(plain.graph(), 3, &Device::Cpu).unwrap();
        for (Place { name, .. }, own) in store.values_mut().named_mut() {
            own.copy_from_slice(of_changed.values().get(name).unwrap());
        }
        for (layer, out, inputs) in LAYERS {
            let name = format!("_backbone.transformer.h.0.{layer}");
            // The last row again for loops beyond the table.
            let change = rows(&change(&of_changed, &name, index.min(2), out, inputs, 2));
            let mut values = store.values_mut();
            let weight = values.get_mut(&format!("{name}.weight")).unwrap();
            weight.iter_mut().zip(change).for_each(|(weight, change)| *weight += change);
        }
        let mut by_weights = plain.looping(&store, &prompts(), 5).unwrap();
        by_weights.go_on_from(&state, index).unwrap();
        by_weights.advance().unwrap();
        by_table.advance().unwrap();
        for (a, b) in rows(by_table.state()).iter().zip(rows(by_weights.state())) {
            assert!((a - b).abs() < 1e-4, "loop {index}: {a} {b}");
        }
        state = by_table.state().clone();
    }
}

#[test]
fn at_first_nothing_is_changed() {
    let predicted = |lora: &str| {
        let model = model(lora);
        let store = ParamStore::new(model.graph(), 3, &Device::Cpu).unwrap();
        model.predictor(&store).predict(&prompts(), 3).unwrap().values
    };
    assert_eq!(predicted(r#","lora":{"rank":2,"loops":3,"beyond":"interpolate"}"#), predicted(""));
}

#[test]
fn ranks_that_cannot_be_are_refused() {
    let mut problems = Problems::new();
    config(r#","lora":{"rank":11,"loops":0}"#).validate(&mut problems);
    assert_eq!(
        problems.to_string(),
        "block.lora.rank: is 11; allowed: 1 to n_embd, 10\nblock.lora.loops: is 0; allowed: 1 to 65536"
    );
}
