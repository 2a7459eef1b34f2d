//! Operations counted over the recorded graph are those that the blocks' authors counted by hand.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use looped_blocks as _;
use looped_core::{BlockConfig, Injector, ModelConfig};

fn model(block: &str, injector: &str) -> ModelConfig {
    let block: Box<dyn BlockConfig> = serde_json::from_str(block).unwrap();
    let injector: Box<dyn Injector> = serde_json::from_str(injector).unwrap();
    ModelConfig { n_dims: 5, n_positions: 11, n_embd: 24, n_layer: 3, pretrained_path: None, block, injector }
}

#[test]
fn of_every_built_in_block_with_and_without_tokens_that_never_change() {
    let points = 11;
    let tokens = 2 * points;
    let reads: Vec<usize> = (0..points).map(|point| 2 * point).collect();
    for block in [
        r#"{"type":"transformer","n_head":4}"#,
        r#"{"type":"lstm"}"#,
        r#"{"type":"ssm","n_state":3}"#,
        r#"{"type":"sequential","blocks":[{"type":"lstm"},{"type":"transformer","n_head":2}]}"#,
    ] {
        for (injector, early) in [(r#"{"type":"full"}"#, 0), (r#"{"type":"last_n","n":7}"#, tokens - 7)] {
            let model = model(block, injector);
            let counted = looped_graph::flops(&model.graph().unwrap().unwrap(), tokens, &reads);
            let by_hand = |range| 3 * model.block.flops(&model.dims(), range);
            let read_in = (2 * 5 * 24 * tokens) as u64;
            let read_out = |count: usize| (2 * 24 * count) as u64;
            let early_reads = reads.iter().filter(|read| **read < early).count();
            assert_eq!(
                counted.once,
                read_in + by_hand(0..early) + read_out(early_reads),
                "{block} {injector}"
            );
            let each = by_hand(early..tokens) + read_out(points - early_reads);
            assert_eq!(counted.each_loop, each, "{block} {injector}");
        }
    }
}
