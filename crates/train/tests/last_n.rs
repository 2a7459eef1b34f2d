//! Tokens outside the last n are given the same input in every loop; behind causal blocks they never change.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use looped_blocks as _;
use looped_core::{ModelConfig, ParamStore, Prompts, Rng, Tensor};
use looped_reference::ReferenceModel;

/// The state after each loop, flat: the tokens before the last `n`, and those. The engine computes all of them in every loop.
fn states(block: &str, n: usize, op: &str) -> Vec<(Vec<f32>, Vec<f32>)> {
    let config: ModelConfig = serde_json::from_str(&format!(
        r#"{{"n_dims":3,"n_positions":6,"n_embd":8,"n_layer":2,"block":{block},
            "injector":{{"type":"last_n","n":{n},"operation":"{op}"}}}}"#
    ))
    .unwrap();
    let model = ReferenceModel::new(config.graph().unwrap()).unwrap();
    let store = ParamStore::new(model.graph(), 5, &looped_testing::device()).unwrap();
    let mut rng = Rng::stream(5, "last n", 0);
    let prompts = Prompts::pairs(rng.normals(4 * 6 * 3), rng.normals(4 * 6), [4, 6, 3]);
    let mut looping = model.looping(&store, &prompts, 6).unwrap();
    let part = |state: &Tensor, first: usize, count: usize| -> Vec<f32> {
        state.narrow(1, first, count).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    let mut state = || {
        looping.advance().unwrap();
        let state = looping.state();
        (part(state, 0, 12 - n), part(state, 12 - n, n))
    };
    (0..6).map(|_| state()).collect()
}

#[test]
fn tokens_outside_the_last_n_are_the_same_in_every_loop_to_the_bit() {
    let blocks = [r#"{"type":"transformer","n_head":2}"#, r#"{"type":"lstm"}"#, r#"{"type":"ssm"}"#];
    for block in blocks {
        for op in ["add", "multiply"] {
            for n in 1..12 {
                let states = states(block, n, op);
                for pair in states.windows(2) {
                    assert_eq!(pair[0].0, pair[1].0, "{block}, {op}, n = {n}: outside the last n");
                    assert_ne!(pair[0].1, pair[1].1, "{block}, {op}, n = {n}: the last n");
                }
            }
        }
    }
}
