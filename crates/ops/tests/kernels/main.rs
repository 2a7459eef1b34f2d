//! Every kernel, on every instruction set this machine has, against plain `f64` references over random sizes.

mod attention;
mod gelu;
mod norm;
mod point;
mod products;
mod scan;
mod shift;

use looped_ops::{Isa, Kernels};

/// Kernels of every instruction set this machine has.
fn all_kernels() -> Vec<Kernels> {
    Isa::available().into_iter().map(|isa| Kernels::for_isa(isa).expect("it is available")).collect()
}

/// Values in -1..1, different for each seed, the same in every run.
fn values(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    let next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits >> 40) as f32) / (1u64 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// Panics where values differ by more than `tolerance` times the larger of 1 and the largest expected value.
#[track_caller]
fn assert_close(what: &str, kernels: Kernels, got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    let scale = want.iter().fold(1.0f64, |max, x| max.max(x.abs()));
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(got) - want).abs();
        assert!(error <= tolerance * scale, "{what} on {:?}: [{i}] is {got}, expected {want}", kernels.isa());
    }
}
