//! Arrays of floats, for the compiler to vectorise as it can.

use super::{Kernel, SQRT_HALF, Simd};

/// Plain Rust; runs everywhere.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

const LANES: usize = 8;

/// Applies an expression to each lane.
macro_rules! lanes {
    ($lane:ident => $value:expr) => {{
        let mut out = [0.0f32; LANES];
        let mut $lane = 0;
        while $lane < LANES {
            out[$lane] = $value;
            $lane += 1;
        }
        out
    }};
}

/// Rounds to bf16, ties to even; the lower half of the bits is left over.
#[inline(always)]
fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    bits.wrapping_add(0x7fff + (bits >> 16 & 1))
}

impl Simd for Portable {
    type F = [f32; LANES];
    const LANES: usize = LANES;
    const TILE_ROWS: usize = 4;
    const TILE_VECTORS: usize = 1;

    #[inline(never)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load_ptr(self, p: *const f32) -> Self::F {
        // SAFETY: the caller's promise; an array of floats has the alignment of a float.
        unsafe { p.cast::<[f32; LANES]>().read() }
    }
    #[inline(always)]
    unsafe fn store_ptr(self, p: *mut f32, x: Self::F) {
        // SAFETY: the caller's promise; an array of floats has the alignment of a float.
        unsafe { p.cast::<[f32; LANES]>().write(x) }
    }
    #[inline(always)]
    unsafe fn load_first_ptr(self, p: *const f32, n: usize) -> Self::F {
        // SAFETY: the caller's promise.
        let x = unsafe { std::slice::from_raw_parts(p, n) };
        let mut out = [0.0; LANES];
        out[..n].copy_from_slice(x);
        out
    }
    #[inline(always)]
    unsafe fn store_first_ptr(self, p: *mut f32, x: Self::F, n: usize) {
        // SAFETY: the caller's promise.
        let out = unsafe { std::slice::from_raw_parts_mut(p, n) };
        out.copy_from_slice(&x[..n]);
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(i => a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(i => a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(i => a[i] * b[i])
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(i => a[i] / b[i])
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        lanes!(i => a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn neg_mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        lanes!(i => c[i] - a[i] * b[i])
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(i => if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(i => if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn greater(self, a: Self::F, b: Self::F, yes: Self::F, no: Self::F) -> Self::F {
        lanes!(i => if a[i] > b[i] { yes[i] } else { no[i] })
    }
    #[inline(always)]
    fn sqrt(self, a: Self::F) -> Self::F {
        lanes!(i => a[i].sqrt())
    }
    #[inline(always)]
    fn fraction_and_exponent(self, a: Self::F) -> (Self::F, Self::F) {
        let n = |a: f32| (a.to_bits() as i32).wrapping_sub(SQRT_HALF) >> 23;
        let fraction = |a: f32| f32::from_bits((a.to_bits() as i32).wrapping_sub(n(a) << 23) as u32);
        (lanes!(i => fraction(a[i])), lanes!(i => n(a[i]) as f32))
    }
    #[inline(always)]
    fn bits_to_exponent(self, a: Self::F) -> Self::F {
        lanes!(i => f32::from_bits(a[i].to_bits() << 23))
    }
    #[inline(always)]
    fn unzip(self, a: Self::F, b: Self::F) -> (Self::F, Self::F) {
        let both = |i: usize| if i < LANES { a[i] } else { b[i - LANES] };
        (lanes!(i => both(2 * i)), lanes!(i => both(2 * i + 1)))
    }
    #[inline(always)]
    fn pair(self, low: Self::F, high: Self::F) -> Self::F {
        lanes!(i => f32::from_bits(round(low[i]) >> 16 | round(high[i]) & 0xffff_0000))
    }
    #[inline(always)]
    fn low_half(self, a: Self::F) -> Self::F {
        lanes!(i => f32::from_bits(a[i].to_bits() << 16))
    }
    #[inline(always)]
    fn high_half(self, a: Self::F) -> Self::F {
        lanes!(i => f32::from_bits(a[i].to_bits() & 0xffff_0000))
    }
    #[inline(always)]
    fn keep_first(self, a: Self::F, n: usize, fill: Self::F) -> Self::F {
        lanes!(i => if i < n { a[i] } else { fill[i] })
    }
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
    }
    #[inline(always)]
    fn max_lane(self, a: Self::F) -> f32 {
        a.into_iter().fold(a[0], f32::max)
    }
}
