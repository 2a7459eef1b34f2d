//! Every built-in block and injector passes the checks that plugins pass.

use looped_blocks as _;
use looped_core::{BlockConfig, Injector, Kind, Part};
use looped_testing::{is_registered, round_trips, sound, sound_injector};

/// A table of each block, and a width that it takes: sizes are multiples of nothing.
const BLOCKS: [(&str, usize); 21] = [
    (r#"{"type":"transformer","n_head":3}"#, 12),
    (r#"{"type":"transformer","n_head":1}"#, 10),
    (r#"{"type":"transformer","n_head":2,"causal":false}"#, 10),
    (r#"{"type":"transformer","n_head":2,"norm":"post","residual_scale":0.5}"#, 10),
    (r#"{"type":"transformer","n_head":2,"norm":"peri"}"#, 10),
    (r#"{"type":"transformer","n_head":2,"norm":"sandwich"}"#, 10),
    (r#"{"type":"llama","n_head":3,"hidden":7,"qk_norm":true}"#, 12),
    (r#"{"type":"llama","n_head":1,"hidden":7,"qk_norm":false,"norm":"peri","residual_scale":0.5}"#, 10),
    (r#"{"type":"llama","n_head":1,"hidden":7,"qk_norm":true,"norm":"sandwich"}"#, 10),
    (r#"{"type":"llama","n_head":1,"hidden":null,"qk_norm":false}"#, 10),
    (r#"{"type":"transformer","n_head":2,"lora":{"rank":2,"loops":3}}"#, 10),
    (r#"{"type":"transformer","n_head":1,"norm":"post","lora":{"rank":1,"loops":2,"beyond":"wrap"}}"#, 7),
    (
        r#"{"type":"llama","n_head":1,"hidden":7,"qk_norm":true,"lora":{"rank":3,"loops":2,"beyond":"interpolate"}}"#,
        10,
    ),
    (r#"{"type":"lstm"}"#, 7),
    (r#"{"type":"ssm","n_state":3}"#, 10),
    (r#"{"type":"ssm","n_state":8}"#, 7),
    (r#"{"type":"sequential","blocks":[{"type":"transformer","n_head":2},{"type":"lstm"}]}"#, 10),
    (r#"{"type":"sequential","blocks":[{"type":"sequential","blocks":[{"type":"ssm","n_state":2}]}]}"#, 7),
    (r#"{"type":"sequential","blocks":[{"type":"loop_embedding","loops":3},{"type":"lstm"}]}"#, 7),
    (
        r#"{"type":"sequential","blocks":[{"type":"loop_embedding","loops":2,"beyond":"wrap"},{"type":"lstm"}]}"#,
        7,
    ),
    (
        r#"{"type":"sequential","blocks":[{"type":"loop_embedding","loops":2,"beyond":"interpolate"},{"type":"lstm"}]}"#,
        7,
    ),
];

const INJECTORS: [&str; 8] = [
    r#"{"type":"full","operation":"multiply"}"#,
    r#"{"type":"last_n","n":4,"operation":"multiply"}"#,
    r#"{"type":"first_n","n":3,"operation":"add"}"#,
    r#"{"type":"none"}"#,
    r#"{"type":"learned_gate"}"#,
    r#"{"type":"concat"}"#,
    r#"{"type":"pattern","keep":[false,true]}"#,
    r#"{"type":"pattern","keep":[true,true,false,true,false]}"#,
];

/// A softmax ignores a shift of all its scores, so keys' bias has no gradient; `c_attn.bias` holds it beside those of
/// queries and values, whose gradients keep the whole non-zero.
#[test]
fn blocks_are_sound() {
    for (table, width) in BLOCKS {
        let block: Box<dyn BlockConfig> = serde_json::from_str(table).expect("a valid table");
        sound(block.as_ref(), width);
    }
}

#[test]
fn injectors_are_sound() {
    for table in INJECTORS {
        let injector: Box<dyn Injector> = serde_json::from_str(table).expect("a valid table");
        sound_injector(injector.as_ref());
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

#[test]
fn the_lists_are_complete() {
    let checked = |kind: Kind, tables: &[&str]| {
        for part in Part::of(kind) {
            let tag = format!("\"type\":\"{}\"", part.tag);
            assert!(tables.iter().any(|table| table.contains(&tag)), "no check of {}", part.tag);
            assert!(part.help().len() > 20, "{}", part.tag);
        }
    };
    checked(Kind::Block, &BLOCKS.map(|(table, _)| table));
    checked(Kind::Injector, &INJECTORS);
}
