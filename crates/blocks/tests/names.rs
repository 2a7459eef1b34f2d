//! What parameters and nodes are called: names of parameters are those of published checkpoints.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use looped_blocks as _;
use looped_core::{ModelConfig, ModelDims};

const STACK: &str = r#"{"type":"sequential","blocks":[{"type":"transformer","n_head":2},{"type":"lstm"}]}"#;

fn model(block: &str, injector: &str) -> ModelConfig {
    ModelConfig::new(
        ModelDims { n_dims: 3, n_positions: 7, n_embd: 12, n_layer: 2 },
        serde_json::from_str(block).unwrap(),
        serde_json::from_str(injector).unwrap(),
    )
}

#[test]
fn nodes_are_called_after_the_block_they_belong_to() {
    let graph = model(STACK, r#"{"type":"full"}"#).graph().unwrap();
    let scope = |name: &str| {
        let found = graph.nodes().iter().filter(|node| node.name() == name);
        found.map(|node| node.scope.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(scope("recur"), ["h.0.1", "h.1.1"]);
    assert_eq!(scope("attention"), ["h.0.0", "h.1.0"]);
    assert_eq!(scope("linear `_read_out`"), ["read_out"]);
}

#[test]
fn injectors_without_weights_add_no_parameters() {
    let count = |injector: &str| model(STACK, injector).graph().unwrap().params().len();
    let injectors = [
        r#"{"type":"last_n","n":4,"operation":"multiply"}"#,
        r#"{"type":"last_n","n":-1}"#,
        r#"{"type":"first_n","n":2}"#,
        r#"{"type":"none"}"#,
        r#"{"type":"pattern","keep":[true,false]}"#,
    ];
    for injector in injectors {
        assert_eq!(count(injector), count(r#"{"type":"full"}"#), "{injector}");
    }
    assert_eq!(count(r#"{"type":"concat"}"#), count(r#"{"type":"full"}"#) + 2);
}
