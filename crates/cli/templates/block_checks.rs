//! The block passes the checks that looped's own pass.

use looped_core::BlockConfig;
use looped_testing::{block_is_causal, block_splits, gradients_are_true, is_registered, round_trips};
use part_name::PartName;

/// Width of the state in these checks.
const WIDTH: usize = 8;

fn block() -> PartName {
    PartName { expansion: 2 }
}

/// Every parameter's gradient is there, and agrees with finite differences. Name in the list those that are 0 by nature.
#[test]
fn its_gradients_are_true() {
    gradients_are_true(&block(), WIDTH, &[]);
}

#[test]
fn no_token_sees_a_later_one() {
    block_is_causal(&block(), WIDTH);
}

#[test]
fn a_prefix_and_the_rest_give_the_whole() {
    block_splits(&block(), WIDTH);
}

#[test]
fn its_table_reads_back_and_is_documented() {
    let table = r#"{"type":"part_name","expansion":3}"#;
    round_trips::<dyn BlockConfig>(table);
    is_registered::<dyn BlockConfig>(table);
}
