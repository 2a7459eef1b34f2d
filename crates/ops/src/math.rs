//! Exponential functions of whole vectors, to about one rounding of `f32`.

use crate::simd::Simd;

/// `1.5 * 2^23 + 127`: added to a small whole number `n`, the low bits of the sum are `n + 127`.
const EXPONENT_MAGIC: f32 = 12_582_912.0 + 127.0;
/// ln 2 in two parts; the first has few bits, so that its product with a small whole number is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// Below it, `exp` has no normal result.
const EXP_MIN: f32 = -87.336_54;
const EXP_MAX: f32 = 88.376_26;

/// `2^n` and `e^r - 1`, with `x = n ln 2 + r`, `|r| <= ln 2 / 2`.
#[inline(always)]
fn reduce<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    // In this order of arguments a NaN stays one.
    let x = s.min(s.splat(EXP_MAX), s.max(s.splat(EXP_MIN), x));
    // Adding the constant leaves room for whole numbers only: the sum is rounded, and its low bits are n + 127.
    let magic = s.splat(EXPONENT_MAGIC);
    let shifted = s.mul_add(x, s.splat(std::f32::consts::LOG2_E), magic);
    let power = s.bits_to_exponent(shifted);
    let n = s.sub(shifted, magic);
    let r = s.neg_mul_add(n, s.splat(LN2_HIGH), x);
    let r = s.neg_mul_add(n, s.splat(LN2_LOW), r);
    // e^r = 1 + r + r^2 q(r); q interpolates at the five Chebyshev nodes of the interval, which leaves an error of 1e-8.
    let mut q = s.splat(0.001_392_621_3);
    q = s.mul_add(q, r, s.splat(0.008_363_203));
    q = s.mul_add(q, r, s.splat(0.041_666_556));
    q = s.mul_add(q, r, s.splat(0.166_665_76));
    q = s.mul_add(q, r, s.splat(0.5));
    let p = s.mul_add(s.mul(q, r), r, r);
    (power, p)
}

/// `e^x`; arguments are clamped to where the result is a normal number.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    let (power, p) = reduce(s, x);
    s.mul_add(p, power, power)
}

/// `e^x - 1`, accurate near 0 too.
#[inline(always)]
fn exp_m1<S: Simd>(s: S, x: S::F) -> S::F {
    let (power, p) = reduce(s, x);
    s.mul_add(p, power, s.sub(power, s.splat(1.0)))
}

#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    // Beyond 10 the result is 1 to the last bit.
    let x = s.min(s.splat(10.0), s.max(s.splat(-10.0), x));
    let t = exp_m1(s, s.add(x, x));
    s.mul(t, s.reciprocal(s.add(t, s.splat(2.0))))
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    s.reciprocal(s.add(s.splat(1.0), exp(s, s.sub(s.splat(0.0), x))))
}
