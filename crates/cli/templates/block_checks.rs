//! The block passes the checks that looped's own pass.

use looped_core::BlockConfig;
use looped_testing::{block_gives, is_registered, round_trips, sound};
use part_name::PartName;

/// In a small looped model of width 7: gradients, who sees whom, and that every engine computes the same.
#[test]
fn it_can_be_trained_and_does_what_it_says() {
    sound(&PartName { expansion: 2 }, 7);
}

/// With one number a token, q = 1, k = v = z and W_o = 1: z_t plus the mean of z_s z_{s-1}.
#[test]
fn each_token_gets_the_mean_of_the_products_so_far() {
    let given = block_gives(&PartName { expansion: 1 }, &[[2.0], [3.0], [5.0]], |name, i| match name {
        "project.weight" => [0.0, 1.0, 1.0][i],
        "project.bias" => [1.0, 0.0, 0.0][i],
        "out.weight" => 1.0,
        _ => 0.0,
    });
    assert_eq!(given, [[2.0], [3.0 + 6.0 / 2.0], [5.0 + 21.0 / 3.0]]);
}

#[test]
fn its_table_reads_back_and_is_documented() {
    let table = r#"{"type":"part_name","expansion":3}"#;
    round_trips::<dyn BlockConfig>(table);
    is_registered::<dyn BlockConfig>(table);
}
