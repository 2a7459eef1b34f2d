//! Every built-in block and injector passes the checks that plugins pass.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use looped_blocks as _;
use looped_core::{BlockConfig, Injector, Kind, Part};
use looped_testing::{is_registered, round_trips, sound, sound_injector};

/// No width is a multiple of another size.
const BLOCKS: [(&str, usize); 9] = [
    (r#"{"type":"transformer","n_head":3}"#, 12),
    (r#"{"type":"transformer","n_head":1}"#, 7),
    (r#"{"type":"transformer","n_head":2,"causal":false}"#, 10),
    (r#"{"type":"lstm"}"#, 7),
    (r#"{"type":"ssm","n_state":3}"#, 11),
    (r#"{"type":"llama","n_head":3,"hidden":7,"qk_norm":true}"#, 12),
    (r#"{"type":"llama","n_head":1,"qk_norm":false}"#, 10),
    (r#"{"type":"sequential","blocks":[{"type":"loop_embedding","loops":3},{"type":"lstm"}]}"#, 7),
    (
        r#"{"type":"sequential","blocks":[{"type":"transformer","n_head":2},{"type":"sequential","blocks":[{"type":"ssm","n_state":1}]}]}"#,
        10,
    ),
];

const INJECTORS: [&str; 6] = [
    r#"{"type":"full","operation":"multiply"}"#,
    r#"{"type":"last_n","n":4,"operation":"multiply"}"#,
    r#"{"type":"first_n","n":3,"operation":"add"}"#,
    r#"{"type":"none"}"#,
    r#"{"type":"concat"}"#,
    r#"{"type":"learned_gate"}"#,
];

fn all(kind: Kind, tables: &[&str]) {
    for part in Part::of(kind) {
        let tag = format!("\"type\":\"{}\"", part.tag);
        assert!(tables.iter().any(|table| table.contains(&tag)), "no check of {}", part.tag);
        assert!(part.help().len() > 20, "{}", part.tag);
    }
}

#[test]
fn every_block_is_sound() {
    all(Kind::Block, &BLOCKS.map(|(table, _)| table));
    for (table, width) in BLOCKS {
        let block: Box<dyn BlockConfig> = serde_json::from_str(table).unwrap();
        sound(block.as_ref(), width);
    }
}

#[test]
fn every_injector_is_sound() {
    all(Kind::Injector, &INJECTORS);
    let block: Box<dyn BlockConfig> = serde_json::from_str(BLOCKS[0].0).unwrap();
    for table in INJECTORS {
        sound_injector(serde_json::from_str(table).unwrap(), block.as_ref(), BLOCKS[0].1);
    }
}

#[test]
fn tables_round_trip_and_are_registered() {
    for (table, _) in BLOCKS {
        round_trips::<dyn BlockConfig>(table);
        is_registered::<dyn BlockConfig>(table);
    }
    for table in INJECTORS {
        round_trips::<dyn Injector>(table);
        is_registered::<dyn Injector>(table);
    }
}
