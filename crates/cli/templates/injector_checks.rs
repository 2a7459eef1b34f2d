//! The injector passes the checks that looped's own pass.

use looped_core::{Device, Injector, LoopStep, Result, Tensor};
use looped_testing::{injector_gradients_are_true, injector_keeps_the_shape, injector_prefix_is_invariant};
use looped_testing::{is_registered, round_trips};
use part_name::PartName;

fn injector() -> PartName {
    PartName { every: 3 }
}

#[test]
fn its_gradients_are_true() {
    injector_gradients_are_true(&injector());
}

#[test]
fn shapes_and_the_invariant_prefix_hold() {
    injector_keeps_the_shape(&injector());
    injector_prefix_is_invariant(&injector());
}

#[test]
fn every_third_token_keeps_its_state() -> Result<()> {
    let tokens = |values: [f32; 4]| Tensor::from_slice(&values, (1, 4, 1), &Device::Cpu);
    let at = LoopStep { index: 1, tokens: 4, first_token: 0 };
    let (state, input) = (tokens([1.0, 2.0, 3.0, 4.0])?, tokens([10.0, 20.0, 30.0, 40.0])?);
    let met = injector().inject(&state, &input, at)?;
    assert_eq!(met.flatten_all()?.to_vec1::<f32>()?, [11.0, 20.0, 30.0, 44.0]);
    Ok(())
}

#[test]
fn its_table_reads_back_and_is_documented() {
    let table = r#"{"type":"part_name","every":3}"#;
    round_trips::<dyn Injector>(table);
    is_registered::<dyn Injector>(table);
}
