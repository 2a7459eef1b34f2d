//! 16 lanes of AVX-512.

use super::{Kernel, SQRT_HALF, Simd, WHOLE, apart};
use std::arch::x86_64::*;
use std::mem::transmute;

/// Exists only where the machine has the features `run` names, and AVX512-BF16 if `BF16`.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<const BF16: bool>(());

impl Avx512<false> {
    /// # Safety
    /// The machine has these features.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    pub(crate) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Self(()))
    }
}

impl Avx512<true> {
    /// # Safety
    /// The machine has these features.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
    pub(crate) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Self(()))
    }
}

#[inline(always)]
fn first(n: usize) -> __mmask16 {
    if n >= 16 { 0xffff } else { (1u16 << n) - 1 }
}

/// Rounds to bf16, ties to even; the lower half of the bits is left over.
///
/// # Safety
/// The machine has AVX-512F.
#[inline(always)]
unsafe fn round(x: __m512) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let bits = _mm512_castps_si512(x);
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
        _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)))
    }
}

/// Word `i` of the result is word `i / 2` of the first half, then of the second, by turns.
const INTERLEAVED: [i16; 32] = {
    let mut index = [0; 32];
    let mut i = 0;
    while i < 32 {
        index[i] = (i / 2 + i % 2 * 16) as i16;
        i += 1;
    }
    index
};

/// Lane `i` of the result is element `2 i` of two vectors.
const EVEN: [i32; 16] = {
    let mut index = [0; 16];
    let mut i = 0;
    while i < 16 {
        index[i] = 2 * i as i32;
        i += 1;
    }
    index
};

/// `2^(i/16)`.
const SIXTEENTHS: [f32; 16] = [
    1.0,
    1.044_273_7,
    1.090_507_7,
    1.138_788_6,
    1.189_207_1,
    1.241_857_8,
    1.296_839_6,
    1.354_255_5,
    std::f32::consts::SQRT_2,
    1.476_826_2,
    1.542_210_8,
    1.610_490_3,
    1.681_792_8,
    1.756_252_2,
    1.834_008_1,
    1.915_206_6,
];

// SAFETY, for every block below that isn't annotated: `self` exists only inside `run`, so the machine has AVX-512F, BW
// and DQ, and BF16 where that is asked for; the intrinsics need no others. `__m512`, `__m512i` and `__m512bh` are the
// same 64 bytes of plain data.
#[allow(clippy::undocumented_unsafe_blocks)]
impl<const BF16: bool> Simd for Avx512<BF16> {
    type F = __m512;
    const LANES: usize = 16;
    const TILE_ROWS: usize = 6;
    const TILE_VECTORS: usize = 4;

    #[inline(always)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        if BF16 {
            apart(|| unsafe { Avx512::<true>::run(kernel) })
        } else {
            apart(|| unsafe { Avx512::<false>::run(kernel) })
        }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load_ptr(self, p: *const f32) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store_ptr(self, p: *mut f32, x: __m512) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_ps(p, x) }
    }
    #[inline(always)]
    unsafe fn load_first_ptr(self, p: *const f32, n: usize) -> __m512 {
        // SAFETY: masked lanes are not touched; the caller's promise covers the others.
        unsafe { _mm512_maskz_loadu_ps(first(n), p) }
    }
    #[inline(always)]
    unsafe fn store_first_ptr(self, p: *mut f32, x: __m512, n: usize) {
        // SAFETY: masked lanes are not touched; the caller's promise covers the others.
        unsafe { _mm512_mask_storeu_ps(p, first(n), x) }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn reciprocal(self, a: __m512) -> __m512 {
        // 14 bits, and twice as many after a step of Newton's: a division takes longer.
        let near = unsafe { _mm512_rcp14_ps(a) };
        let error = self.neg_mul_add(a, near, self.splat(1.0));
        self.mul_add(near, error, near)
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn neg_mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn greater(self, a: __m512, b: __m512, yes: __m512, no: __m512) -> __m512 {
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), no, yes) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        unsafe { _mm512_sqrt_ps(a) }
    }
    #[inline(always)]
    fn fraction_and_exponent(self, a: __m512) -> (__m512, __m512) {
        unsafe {
            let bits = _mm512_castps_si512(a);
            let n = _mm512_srai_epi32::<23>(_mm512_sub_epi32(bits, _mm512_set1_epi32(SQRT_HALF)));
            let fraction = _mm512_castsi512_ps(_mm512_sub_epi32(bits, _mm512_slli_epi32::<23>(n)));
            (fraction, _mm512_cvtepi32_ps(n))
        }
    }
    #[inline(always)]
    fn bits_to_exponent(self, a: __m512) -> __m512 {
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(a))) }
    }
    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        // The control's upper half is the number of binary places, its lower half "to nearest, no exceptions".
        unsafe { _mm512_roundscale_ps::<0x08>(a) }
    }
    #[inline(always)]
    fn scale(self, a: __m512, n: __m512) -> __m512 {
        unsafe { _mm512_scalef_ps(a, n) }
    }
    #[inline(always)]
    fn power_of_2(self, x: __m512) -> __m512 {
        // x = n + r with a multiple n of 1/16: adding the constant leaves room for those only, and the sum's last four bits
        // are n's place between whole numbers.
        let sixteenths = self.splat(WHOLE / 16.0);
        let sum = self.add(x, sixteenths);
        let n = self.sub(sum, sixteenths);
        let r = self.sub(x, n);
        // SAFETY of the load: `SIXTEENTHS` is 64 bytes.
        let fraction = unsafe {
            let table = _mm512_loadu_ps(SIXTEENTHS.as_ptr());
            _mm512_permutexvar_ps(_mm512_castps_si512(sum), table)
        };
        // 2^r - 1 to 1e-8, for |r| <= 1/32: ln 2, and its powers over factorials.
        let q = self.mul_add(r, self.splat(0.055_504_11), self.splat(0.240_226_5));
        let q = self.mul_add(q, r, self.splat(std::f32::consts::LN_2));
        let y = self.mul_add(self.mul(fraction, r), q, fraction);
        // Scales by 2 to the whole number below n.
        unsafe { _mm512_scalef_ps(y, n) }
    }
    #[inline(always)]
    fn unzip(self, a: __m512, b: __m512) -> (__m512, __m512) {
        unsafe {
            // SAFETY of the load: `EVEN` is 64 bytes.
            let even = _mm512_loadu_epi32(EVEN.as_ptr());
            let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
            (_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b))
        }
    }
    #[inline(always)]
    fn pair(self, low: __m512, high: __m512) -> __m512 {
        if BF16 {
            unsafe {
                let both = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                // SAFETY of the load: `INTERLEAVED` is 64 bytes.
                let index = _mm512_loadu_epi16(INTERLEAVED.as_ptr());
                _mm512_castsi512_ps(_mm512_permutexvar_epi16(index, both))
            }
        } else {
            unsafe {
                let low = _mm512_srli_epi32::<16>(round(low));
                _mm512_castsi512_ps(_mm512_mask_mov_epi16(low, 0xaaaa_aaaa, round(high)))
            }
        }
    }
    #[inline(always)]
    fn pair_neighbours(self, a: __m512, b: __m512) -> __m512 {
        if BF16 {
            unsafe { transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(b, a)) }
        } else {
            let (low, high) = self.unzip(a, b);
            self.pair(low, high)
        }
    }
    #[inline(always)]
    fn dot_pairs(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        if BF16 {
            unsafe { _mm512_dpbf16_ps(c, transmute::<__m512, __m512bh>(a), transmute::<__m512, __m512bh>(b)) }
        } else {
            let c = self.mul_add(self.low_half(a), self.low_half(b), c);
            self.mul_add(self.high_half(a), self.high_half(b), c)
        }
    }
    #[inline(always)]
    fn low_half(self, a: __m512) -> __m512 {
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_castps_si512(a))) }
    }
    #[inline(always)]
    fn high_half(self, a: __m512) -> __m512 {
        unsafe { _mm512_and_ps(a, _mm512_castsi512_ps(_mm512_set1_epi32(0xffff_0000u32 as i32))) }
    }
    #[inline(always)]
    fn keep_first(self, a: __m512, n: usize, fill: __m512) -> __m512 {
        unsafe { _mm512_mask_mov_ps(fill, first(n), a) }
    }
    #[inline(always)]
    fn sum(self, a: __m512) -> f32 {
        unsafe { _mm512_reduce_add_ps(a) }
    }
    #[inline(always)]
    fn max_lane(self, a: __m512) -> f32 {
        unsafe { _mm512_reduce_max_ps(a) }
    }
}
