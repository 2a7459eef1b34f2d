//! Exponential functions of whole vectors, to about one rounding of `f32`.
//!
//! All are made of powers of 2: a caller that needs `e^(c x)` folds `log2(e)` into the factor it has anyway.

use crate::simd::{Simd, reduce};

/// `2^x` has no normal result below.
const LOWEST: f32 = -126.0;
/// The reciprocal of `1 + 2^x` is no normal number much above.
const HIGHEST: f32 = 126.0;

/// `2^x` for `x <= 127`, or the least normal number where that is larger.
#[inline(always)]
pub(crate) fn exp2<S: Simd>(s: S, x: S::F) -> S::F {
    // In this order of arguments a NaN stays one.
    s.power_of_2(s.max(s.splat(LOWEST), x))
}

/// `2^x`, or what still has a normal reciprocal where that is smaller.
#[inline(always)]
pub(crate) fn bounded_exp2<S: Simd>(s: S, x: S::F) -> S::F {
    exp2(s, s.min(s.splat(HIGHEST), x))
}

#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    // Beyond 10 the result is 1 to the last bit.
    let x = s.min(s.splat(10.0), s.max(s.splat(-10.0), x));
    // t = e^(2x) - 1, accurate near 0 too.
    let (n, r, q) = reduce(s, s.mul(x, s.splat(2.0 * std::f32::consts::LOG2_E)));
    let power = s.scale(s.splat(1.0), n);
    let t = s.mul_add(s.mul(q, r), power, s.sub(power, s.splat(1.0)));
    s.mul(t, s.reciprocal(s.add(t, s.splat(2.0))))
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    let e = bounded_exp2(s, s.mul(x, s.splat(-std::f32::consts::LOG2_E)));
    s.reciprocal(s.add(s.splat(1.0), e))
}
