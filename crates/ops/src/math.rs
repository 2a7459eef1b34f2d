//! Exponential functions of whole vectors, to about one rounding of `f32`.
//!
//! All are made of powers of 2. Who wants `e^(c x)` folds `log2(e)` into a factor that is there anyway.

use crate::simd::Simd;

/// `2^x` has no normal result below.
const LOWEST: f32 = -126.0;
/// The reciprocal of `1 + 2^x` is no normal number much above.
const HIGHEST: f32 = 126.0;

/// `x = n + r` with a whole `n` and `|r| <= 1/2`; returns `n`, `r` and `(2^r - 1) / r`.
#[inline(always)]
fn reduce<S: Simd>(s: S, x: S::F) -> (S::F, S::F, S::F) {
    let n = s.round(x);
    let r = s.sub(x, n);
    // Interpolates at the six Chebyshev nodes of the interval, which leaves an error of 1e-8 of 2^r.
    let mut q = s.splat(0.000_154_531_63);
    q = s.mul_add(q, r, s.splat(0.001_339_086_3));
    q = s.mul_add(q, r, s.splat(0.009_618_083));
    q = s.mul_add(q, r, s.splat(0.055_503_57));
    q = s.mul_add(q, r, s.splat(0.240_226_5));
    q = s.mul_add(q, r, s.splat(std::f32::consts::LN_2));
    (n, r, q)
}

/// `2^x` for `x` in -126..=127.
#[inline(always)]
pub(crate) fn power_of_2<S: Simd>(s: S, x: S::F) -> S::F {
    let (n, r, q) = reduce(s, x);
    s.scale(s.mul_add(q, r, s.splat(1.0)), n)
}

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
