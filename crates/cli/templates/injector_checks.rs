//! The injector passes the checks that looped's own pass.

use looped_core::Injector;
use looped_testing::{injector_gives, is_registered, round_trips, sound_injector};
use part_name::PartName;

/// In a small looped model: gradients, who sees whom, and that every engine computes the same.
#[test]
fn it_can_be_trained_and_does_what_it_says() {
    sound_injector(&PartName { n: 3 });
}

#[test]
fn the_last_tokens_pass_on_a_share_of_each_number() {
    let state = [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]];
    let input = [[10.0, 20.0], [30.0, 40.0], [50.0, 60.0]];
    let given = injector_gives(&PartName { n: 2 }, &state, &input, |_, i| [0.5, -1.0][i]);
    assert_eq!(given, [[10.0, 20.0], [31.0, 38.0], [51.5, 57.0]]);
}

#[test]
fn its_table_reads_back_and_is_documented() {
    let table = r#"{"type":"part_name","n":3}"#;
    round_trips::<dyn Injector>(table);
    is_registered::<dyn Injector>(table);
}
