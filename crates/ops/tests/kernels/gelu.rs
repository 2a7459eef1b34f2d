//! GELU against `f64`, over its whole range.

use crate::{all_kernels, assert_close, values};
use proptest::prelude::*;

/// The value and the derivative.
pub(crate) fn reference(x: f64) -> (f64, f64) {
    let scale = (2.0 / std::f64::consts::PI).sqrt();
    let t = (scale * (x + 0.044715 * x * x * x)).tanh();
    let slope = scale * (1.0 + 3.0 * 0.044715 * x * x);
    (0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope)
}

/// Accurate where `f64`'s own `1 + tanh` cancels: the same, as `x * sigmoid`.
fn exact(x: f64) -> f64 {
    let u = 2.0 * (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
    x / (1.0 + (-u).exp())
}

#[test]
fn values_to_two_in_ten_million() {
    let x: Vec<f32> =
        (-40_000..40_000).map(|i| i as f32 * 3e-4).chain([0.0, 1e-20, -1e-20, 1e3, -1e3]).collect();
    for kernels in all_kernels() {
        let mut y = vec![f32::NAN; x.len()];
        kernels.gelu(&x, &mut y);
        let (mut pre, mut grad) = (x.clone(), vec![1.0; x.len()]);
        kernels.gelu_backward(&mut pre, &mut grad);
        assert_eq!(pre, y);
        for ((&x, &y), &slope) in x.iter().zip(&y).zip(&grad) {
            let want = exact(f64::from(x));
            // Far to the left the result vanishes with e^u, and the rounding of u shows relative to it.
            let tolerance = if x > -1.0 { 3e-7 * want.abs() } else { 6e-8 };
            assert!(
                (f64::from(y) - want).abs() <= tolerance,
                "gelu({x}) = {y}, not {want}, on {:?}",
                kernels.isa()
            );
            let want = if x.abs() > 20.0 { f64::from(x > 0.0) } else { reference(f64::from(x)).1 };
            assert!((f64::from(slope) - want).abs() <= 4e-7, "gelu'({x}) = {slope}, not {want}");
        }
    }
}

/// A CPU takes a hundred cycles for each, and a model that has saturated would be full of them.
#[test]
fn nothing_far_to_the_left_is_subnormal() {
    let x: Vec<f32> = (0..2000).map(|i| i as f32 * -0.05).collect();
    for kernels in all_kernels() {
        for up in [1.0, 1e-3, 1e-6, 1e-12] {
            let (mut pre, mut grad) = (x.clone(), vec![up; x.len()]);
            kernels.gelu_backward(&mut pre, &mut grad);
            assert!(!pre.iter().chain(&grad).any(|x| x.is_subnormal()), "{:?} at {up}", kernels.isa());
        }
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    for kernels in all_kernels() {
        let mut y = [0.0; 17];
        kernels.gelu(&[f32::NAN; 17], &mut y);
        assert!(y.iter().all(|y| y.is_nan()), "{:?}", kernels.isa());
    }
}

proptest! {
    #[test]
    fn every_length(len in 0..100usize, seed: u64) {
        let x = values(seed, len);
        let up = values(seed ^ 1, len);
        let want: Vec<f64> =
            x.iter().zip(&up).map(|(&x, &up)| f64::from(up) * reference(f64::from(x)).1).collect();
        for kernels in all_kernels() {
            let (mut pre, mut grad) = (x.clone(), up.clone());
            kernels.gelu_backward(&mut pre, &mut grad);
            assert_close("gradient", kernels, &grad, &want, 4e-7);
        }
    }
}
