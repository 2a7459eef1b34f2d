//! Exponential functions of whole vectors, to about one rounding of `f32`.
//!
//! All are made of powers of 2: a caller that needs `e^(c x)` folds `log2(e)` into the factor it has anyway.

use crate::simd::{Simd, reduce};

/// `2^x` counts as 0 below: far below the rounding of the 1 or more that it is compared with. A number near the least normal one would be
/// worse than useless: its product with a gradient is subnormal, and each product with a subnormal number takes a CPU some hundred cycles, so
/// that a model that has saturated would be trained ten times as slowly.
const NEGLIGIBLE: f32 = -64.0;
/// The reciprocal of `1 + 2^x` is no normal number much above.
const HIGHEST: f32 = 126.0;

/// The logarithm of 2, its first 9 bits, whose product with an exponent is exact, and the rest.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_REST: f32 = -2.121_944_4e-4;

/// `2^x` for `x <= 127`, 0 where it is negligible beside 1.
#[inline(always)]
pub(crate) fn exp2<S: Simd>(s: S, x: S::F) -> S::F {
    let lowest = s.splat(NEGLIGIBLE);
    // In this order of arguments a NaN stays one, here and in `max`.
    s.greater(lowest, x, s.splat(0.0), s.power_of_2(s.max(lowest, x)))
}

/// `1 / (1 + 2^x)`, 0 where it is negligible beside 1, and `2^x`, or what still has a normal reciprocal where that is smaller.
#[inline(always)]
pub(crate) fn gate_and_exp2<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    let e = exp2(s, s.min(s.splat(HIGHEST), x));
    let gate = s.reciprocal(s.add(s.splat(1.0), e));
    (s.greater(x, s.splat(-NEGLIGIBLE), s.splat(0.0), gate), e)
}

#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    // Beyond e^(2x) = 2^26 the nearest number to the result is 1. It is 1 exactly, since a power of 2 and its reciprocal are: the slope 1 - tanh^2
    // of a number that is off by its last bit would be 1.2e-7, which may meet a large factor.
    let power_of_2 = s.mul(x, s.splat(2.0 * std::f32::consts::LOG2_E));
    let power_of_2 = s.min(s.splat(26.0), s.max(s.splat(-26.0), power_of_2));
    // t = e^(2x) - 1, accurate near 0 too.
    let (n, r, q) = reduce(s, power_of_2);
    let power = s.scale(s.splat(1.0), n);
    let t = s.mul_add(s.mul(q, r), power, s.sub(power, s.splat(1.0)));
    s.mul(t, s.reciprocal(s.add(t, s.splat(2.0))))
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    gate_and_exp2(s, s.mul(x, s.splat(-std::f32::consts::LOG2_E))).0
}

/// `e^x`: 0 below the least normal number, infinite above the greatest.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    let (log2_e, one) = (s.splat(std::f32::consts::LOG2_E), s.splat(1.0));
    // In this order of arguments a NaN stays one.
    let within = s.min(s.splat(88.722_8), s.max(s.splat(-87.336_5), x));
    let n = s.min(s.splat(127.0), s.max(s.splat(-126.0), s.round(s.mul(within, log2_e))));
    // x - n ln 2 in two parts, of which the first is exact.
    let r = s.neg_mul_add(n, s.splat(LN_2_REST), s.neg_mul_add(n, s.splat(LN_2_HIGH), within));
    let r = s.mul(r, log2_e);
    let (whole, r, q) = reduce(s, r);
    let power = s.scale(s.scale(s.mul_add(q, r, one), whole), n);
    let power = s.greater(s.splat(-87.336_5), x, s.splat(0.0), power);
    s.greater(x, s.splat(88.722_8), s.splat(f32::INFINITY), power)
}

/// Natural logarithm.
#[inline(always)]
pub(crate) fn log<S: Simd>(s: S, x: S::F) -> S::F {
    let (least, shift) = (s.splat(f32::MIN_POSITIVE), s.splat(8_388_608.0));
    let subnormal = s.greater(least, x, s.splat(23.0), s.splat(0.0));
    let (f, n) = s.fraction_and_exponent(s.greater(least, x, s.mul(x, shift), x));
    let n = s.sub(n, subnormal);
    // log f = 2 artanh t with t = (f - 1) / (f + 1), whose square is below 0.03.
    let one = s.splat(1.0);
    let t = s.div(s.sub(f, one), s.add(f, one));
    let square = s.mul(t, t);
    let mut p = s.splat(2.0 / 9.0);
    p = s.mul_add(p, square, s.splat(2.0 / 7.0));
    p = s.mul_add(p, square, s.splat(2.0 / 5.0));
    p = s.mul_add(p, square, s.splat(2.0 / 3.0));
    let two_t = s.add(t, t);
    let log_f = s.mul_add(s.mul(p, square), t, two_t);
    let log = s.mul_add(n, s.splat(LN_2_HIGH), s.mul_add(n, s.splat(LN_2_REST), log_f));
    // -infinity at 0, NaN below, infinity and NaN as they are.
    let log = s.greater(x, s.splat(0.0), log, s.div(s.splat(-1.0), s.sqrt(x)));
    s.greater(x, s.splat(f32::MAX), x, log)
}
