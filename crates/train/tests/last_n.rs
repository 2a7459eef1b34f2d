//! Tokens outside the last n are given the same input in every loop; behind causal blocks they never change.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::sync::Arc;

use looped_blocks as _;
use looped_core::{
    Injector, LastN, LoopStep, LoopedModel, ModelConfig, ParamStore, Result, Rng, Tensor, typetag,
};
use serde::{Deserialize, Serialize};

/// `last_n` that doesn't say which tokens it leaves alone, so that every loop computes all of them anew.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Untold {
    told: LastN,
}

#[typetag::serde(name = "untold_last_n")]
impl Injector for Untold {
    fn initial(&self, input: &Tensor) -> Result<Tensor> {
        self.told.initial(input)
    }

    fn inject(&self, state: &Tensor, input: &Tensor, at: LoopStep) -> Result<Tensor> {
        self.told.inject(state, input, at)
    }
}

/// (batch, tokens, width) after each loop, flat, tokens before `n` from the end and after.
fn states(block: &str, n: usize, op: &str) -> Vec<(Vec<f32>, Vec<f32>)> {
    let config: ModelConfig = serde_json::from_str(&format!(
        r#"{{"n_dims":3,"n_positions":6,"n_embd":8,"n_layer":2,"block":{block},
            "injector":{{"type":"untold_last_n","told":{{"n":{n},"operation":"{op}"}}}}}}"#
    ))
    .unwrap();
    let device = looped_testing::device();
    let mut store = ParamStore::new(5, &device);
    let model = LoopedModel::build(Arc::new(config), &mut store).unwrap();
    let mut rng = Rng::stream(5, "last n", 0);
    let xs = Tensor::from_vec(rng.normals(4 * 6 * 3), (4, 6, 3), &device).unwrap();
    let ys = Tensor::from_vec(rng.normals(4 * 6), (4, 6), &device).unwrap();
    let mut found = Vec::new();
    let part = |state: &Tensor, first: usize, count: usize| -> Result<Vec<f32>> {
        Ok(state.narrow(1, first, count)?.flatten_all()?.to_vec1()?)
    };
    model
        .states(&xs, &ys, 6, |_, state| {
            found.push((part(state, 0, 12 - n)?, part(state, 12 - n, n)?));
            Ok(())
        })
        .unwrap();
    found
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
