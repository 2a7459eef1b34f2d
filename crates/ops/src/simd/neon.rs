//! 4 lanes of ARM's NEON.

use super::{Kernel, SQRT_HALF, Simd, apart};
use std::arch::aarch64::*;

/// Exists only where the machine has NEON.
#[derive(Clone, Copy)]
pub(crate) struct Neon(());

impl Neon {
    /// # Safety
    /// The machine has NEON.
    #[target_feature(enable = "neon")]
    pub(crate) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Neon(()))
    }
}

/// Rounds to bf16, ties to even; the lower half of the bits is left over.
///
/// # Safety
/// The machine has NEON.
#[inline(always)]
#[allow(unused_unsafe)]
unsafe fn round(x: float32x4_t) -> uint32x4_t {
    // SAFETY: the caller's promise.
    unsafe {
        let bits = vreinterpretq_u32_f32(x);
        let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
        vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)))
    }
}

// SAFETY, for every block below that isn't annotated: `self` exists only inside `run`, so the machine has NEON, the only
// feature the intrinsics ask for.
#[allow(clippy::undocumented_unsafe_blocks)]
#[allow(unused_unsafe)] // which of the intrinsics are safe differs between compiler versions
impl Simd for Neon {
    type F = float32x4_t;
    const LANES: usize = 4;
    const TILE_ROWS: usize = 6;
    const TILE_VECTORS: usize = 4;

    #[inline(always)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        apart(|| unsafe { Self::run(kernel) })
    }
    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        unsafe { vdupq_n_f32(x) }
    }
    #[inline(always)]
    unsafe fn load_ptr(self, p: *const f32) -> Self::F {
        // SAFETY: the caller's promise.
        unsafe { vld1q_f32(p) }
    }
    #[inline(always)]
    unsafe fn store_ptr(self, p: *mut f32, x: Self::F) {
        // SAFETY: the caller's promise.
        unsafe { vst1q_f32(p, x) }
    }
    #[inline(always)]
    unsafe fn load_first_ptr(self, p: *const f32, n: usize) -> Self::F {
        let mut out = [0.0f32; 4];
        // SAFETY: the caller's promise.
        out[..n].copy_from_slice(unsafe { std::slice::from_raw_parts(p, n) });
        unsafe { vld1q_f32(out.as_ptr()) }
    }
    #[inline(always)]
    unsafe fn store_first_ptr(self, p: *mut f32, x: Self::F, n: usize) {
        let mut all = [0.0f32; 4];
        unsafe { vst1q_f32(all.as_mut_ptr(), x) };
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(p, n) }.copy_from_slice(&all[..n]);
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { vdivq_f32(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    fn neg_mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { vfmsq_f32(c, a, b) }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { vbslq_f32(vcltq_f32(a, b), a, b) }
    }
    #[inline(always)]
    fn greater(self, a: Self::F, b: Self::F, yes: Self::F, no: Self::F) -> Self::F {
        unsafe { vbslq_f32(vcgtq_f32(a, b), yes, no) }
    }
    #[inline(always)]
    fn sqrt(self, a: Self::F) -> Self::F {
        unsafe { vsqrtq_f32(a) }
    }
    #[inline(always)]
    fn fraction_and_exponent(self, a: Self::F) -> (Self::F, Self::F) {
        unsafe {
            let bits = vreinterpretq_s32_f32(a);
            let n = vshrq_n_s32::<23>(vsubq_s32(bits, vdupq_n_s32(SQRT_HALF)));
            let fraction = vreinterpretq_f32_s32(vsubq_s32(bits, vshlq_n_s32::<23>(n)));
            (fraction, vcvtq_f32_s32(n))
        }
    }
    #[inline(always)]
    fn bits_to_exponent(self, a: Self::F) -> Self::F {
        unsafe { vreinterpretq_f32_u32(vshlq_n_u32::<23>(vreinterpretq_u32_f32(a))) }
    }
    #[inline(always)]
    fn unzip(self, a: Self::F, b: Self::F) -> (Self::F, Self::F) {
        unsafe { (vuzp1q_f32(a, b), vuzp2q_f32(a, b)) }
    }
    #[inline(always)]
    fn pair(self, low: Self::F, high: Self::F) -> Self::F {
        unsafe { vreinterpretq_f32_u32(vsriq_n_u32::<16>(round(high), round(low))) }
    }
    #[inline(always)]
    fn low_half(self, a: Self::F) -> Self::F {
        unsafe { vreinterpretq_f32_u32(vshlq_n_u32::<16>(vreinterpretq_u32_f32(a))) }
    }
    #[inline(always)]
    fn high_half(self, a: Self::F) -> Self::F {
        unsafe { vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), vdupq_n_u32(0xffff_0000))) }
    }
    #[inline(always)]
    fn keep_first(self, a: Self::F, n: usize, fill: Self::F) -> Self::F {
        let lane = [0u32, 1, 2, 3];
        unsafe { vbslq_f32(vcltq_u32(vld1q_u32(lane.as_ptr()), vdupq_n_u32(n.min(4) as u32)), a, fill) }
    }
    #[inline(always)]
    fn sum(self, a: Self::F) -> f32 {
        unsafe { vaddvq_f32(a) }
    }
    #[inline(always)]
    fn max_lane(self, a: Self::F) -> f32 {
        unsafe { vmaxvq_f32(a) }
    }
}
