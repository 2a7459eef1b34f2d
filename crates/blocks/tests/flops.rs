//! Operations counted over the graph are those that a hand counts.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::ops::Range;

use looped_blocks as _;
use looped_core::{ModelConfig, ModelDims};

const DIMS: usize = 5;
const WIDTH: u64 = 24;
const LAYERS: u64 = 3;

fn model(block: &str, injector: &str) -> ModelConfig {
    ModelConfig::new(
        ModelDims { n_dims: DIMS, n_positions: 11, n_embd: WIDTH as usize, n_layer: LAYERS as usize },
        serde_json::from_str(block).unwrap(),
        serde_json::from_str(injector).unwrap(),
    )
}

/// Operations of a block for some tokens.
type ByHand = fn(Range<usize>) -> u64;

/// 12 D^2 weights in products; each query meets every key up to its own twice (scores, values).
fn transformer(tokens: Range<usize>) -> u64 {
    tokens.map(|token| 24 * WIDTH * WIDTH + 4 * WIDTH * (token as u64 + 1)).sum()
}

/// 8 D^2 weights in products.
fn lstm(tokens: Range<usize>) -> u64 {
    16 * WIDTH * WIDTH * tokens.len() as u64
}

/// 9 D^2 weights in products; three states' updates (3) and their parts of the output (2); the skip.
fn ssm(tokens: Range<usize>) -> u64 {
    (18 * WIDTH * WIDTH + (5 * 3 + 2) * WIDTH) * tokens.len() as u64
}

#[test]
fn of_every_kind_of_block_with_and_without_tokens_that_never_change() {
    let points = 11;
    let tokens = 2 * points;
    let reads: Vec<usize> = (0..points).map(|point| 2 * point).collect();
    let blocks: [(&str, ByHand); 4] = [
        (r#"{"type":"transformer","n_head":4}"#, transformer),
        (r#"{"type":"lstm"}"#, lstm),
        (r#"{"type":"ssm","n_state":3}"#, ssm),
        (r#"{"type":"sequential","blocks":[{"type":"lstm"},{"type":"transformer","n_head":2}]}"#, |tokens| {
            lstm(tokens.clone()) + transformer(tokens)
        }),
    ];
    for (block, by_hand) in blocks {
        for (injector, early) in [(r#"{"type":"full"}"#, 0), (r#"{"type":"last_n","n":7}"#, tokens - 7)] {
            let counted = looped_graph::flops(&model(block, injector).graph().unwrap(), tokens, &reads);
            let read_in = 2 * DIMS as u64 * WIDTH * tokens as u64;
            let read_out = |count: usize| 2 * WIDTH * count as u64;
            let early_reads = reads.iter().filter(|read| **read < early).count();
            let once = read_in + LAYERS * by_hand(0..early) + read_out(early_reads);
            assert_eq!(counted.once, once, "{block} {injector}");
            let each = LAYERS * by_hand(early..tokens) + read_out(points - early_reads);
            assert_eq!(counted.each_loop, each, "{block} {injector}");
        }
    }
}
