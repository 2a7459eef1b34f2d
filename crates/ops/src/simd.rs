//! Vectors of `f32`, one type an instruction set, behind one trait that every kernel is written against once.
//!
//! A kernel is a struct of its arguments with a generic `run` that is always inlined into a function compiled for the
//! instruction set ([`Kernel`]). The values of the vector types are proofs: an `Avx512` exists only where the machine
//! has AVX-512, so its methods may use it.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
pub(crate) use portable::Portable;

/// Asks for a slice to be brought into the cache, where the machine can be asked.
#[inline(always)]
pub(crate) fn prefetch(x: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in x.chunks(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: prefetching has no effect that a program can see, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = x;
}

/// A vector from `at`, or what is left of one.
#[inline(always)]
pub(crate) fn load<S: Simd>(s: S, x: &[f32], at: usize) -> S::F {
    if x.len() - at >= S::LANES { s.load(&x[at..]) } else { s.load_tail(&x[at..]) }
}

/// A vector to `at`, or what there is room for.
#[inline(always)]
pub(crate) fn store<S: Simd>(s: S, out: &mut [f32], at: usize, x: S::F) {
    if out.len() - at >= S::LANES { s.store(&mut out[at..], x) } else { s.store_tail(&mut out[at..], x) }
}

/// The lanes of the widest vectors.
pub(crate) const MOST_LANES: usize = 16;

/// Transposes a square of `LANES` rows, the first of `block`.
#[inline(always)]
pub(crate) fn transpose<S: Simd>(s: S, mut block: [S::F; MOST_LANES]) -> [S::F; MOST_LANES] {
    // Of an element's place, row and column in binary one after the other, each pass moves the last digit to the front.
    // As many passes as a column has digits swap the two.
    for _ in 0..S::LANES.ilog2() {
        let from = block;
        for i in 0..S::LANES / 2 {
            (block[i], block[i + S::LANES / 2]) = s.unzip(from[2 * i], from[2 * i + 1]);
        }
    }
    block
}

/// A computation over vectors of any width. Implementations mark `run` and everything generic below it
/// `#[inline(always)]`, and use no closures there: code that is not inlined is compiled without the instruction set.
pub(crate) trait Kernel {
    type Output;
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

/// Calls a function that isn't inlined. A function of an instruction set can't be marked so itself: rustc (1.95) forgets the mark.
#[inline(never)]
fn apart<T>(act: impl FnOnce() -> T) -> T {
    act()
}

/// `x = n + r` with a whole `n` and `|r| <= 1/2`; returns `n`, `r` and `(2^r - 1) / r`.
#[inline(always)]
pub(crate) fn reduce<S: Simd>(s: S, x: S::F) -> (S::F, S::F, S::F) {
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

/// `1.5 * 2^23`: in sums with it the last bit counts 1.
const WHOLE: f32 = 12_582_912.0;

/// The bits of the square root of 1/2.
const SQRT_HALF: i32 = 0x3f35_04f3;

/// Vectors of `LANES` floats and what the kernels do with them.
pub(crate) trait Simd: Copy {
    type F: Copy;
    const LANES: usize;
    /// Rows and vectors of the product's register tile: `TILE_ROWS * TILE_VECTORS` accumulators are live at once.
    const TILE_ROWS: usize;
    const TILE_VECTORS: usize;

    /// Even and odd elements of `2 LANES` consecutive ones, `a` first.
    fn unzip(self, a: Self::F, b: Self::F) -> (Self::F, Self::F);
    /// Two bf16 in each lane, rounded to nearest: `low`'s in the lower half of the bits.
    fn pair(self, low: Self::F, high: Self::F) -> Self::F;
    /// Pairs of neighbours of `2 LANES` consecutive values.
    #[inline(always)]
    fn pair_neighbours(self, a: Self::F, b: Self::F) -> Self::F {
        let (low, high) = self.unzip(a, b);
        self.pair(low, high)
    }
    /// `c + a.low * b.low + a.high * b.high`, of pairs of bf16.
    #[inline(always)]
    fn dot_pairs(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        let c = self.mul_add(self.low_half(a), self.low_half(b), c);
        self.mul_add(self.high_half(a), self.high_half(b), c)
    }
    /// The lower half of each lane's bits as the upper half of a float: the first of a pair of bf16.
    fn low_half(self, a: Self::F) -> Self::F;
    /// The upper half of each lane's bits: the second of a pair of bf16.
    fn high_half(self, a: Self::F) -> Self::F;

    /// Runs a kernel as a function of its own, not inlined.
    fn call<K: Kernel>(self, kernel: K) -> K::Output;

    fn splat(self, x: f32) -> Self::F;
    /// # Safety
    /// `LANES` floats can be read at `p`.
    unsafe fn load_ptr(self, p: *const f32) -> Self::F;
    /// # Safety
    /// `LANES` floats can be written at `p`.
    unsafe fn store_ptr(self, p: *mut f32, x: Self::F);
    /// The first `n < LANES` lanes from memory, the others 0.
    /// # Safety
    /// `n` floats can be read at `p`.
    unsafe fn load_first_ptr(self, p: *const f32, n: usize) -> Self::F;
    /// # Safety
    /// `n <= LANES` floats can be written at `p`.
    unsafe fn store_first_ptr(self, p: *mut f32, x: Self::F, n: usize);

    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `1 / a` for a normal `a`, to about one rounding.
    #[inline(always)]
    fn reciprocal(self, a: Self::F) -> Self::F {
        self.div(self.splat(1.0), a)
    }
    /// `a * b + c`, rounded once where the machine can.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `c - a * b`, rounded once where the machine can.
    fn neg_mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The larger of both; `b` where `a` is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// The smaller of both; `b` where `a` is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// `yes` where `a > b`, else `no`, also where one is NaN.
    fn greater(self, a: Self::F, b: Self::F, yes: Self::F, no: Self::F) -> Self::F;
    fn sqrt(self, a: Self::F) -> Self::F;
    /// `a = f 2^n` with a whole `n` and `f` between the roots of 1/2 and of 2, for a positive normal `a`.
    fn fraction_and_exponent(self, a: Self::F) -> (Self::F, Self::F);
    /// Each lane's bits moved up by 23, into the exponent.
    fn bits_to_exponent(self, a: Self::F) -> Self::F;
    /// The nearest whole number, ties to even, of `|a| < 2^22`.
    #[inline(always)]
    fn round(self, a: Self::F) -> Self::F {
        // Adding the constant leaves room for whole numbers only.
        self.sub(self.add(a, self.splat(WHOLE)), self.splat(WHOLE))
    }
    /// `a * 2^n` for a whole `n` in -126..=127.
    #[inline(always)]
    fn scale(self, a: Self::F, n: Self::F) -> Self::F {
        // The low bits of the sum are n + 127, the exponent of 2^n.
        let power = self.bits_to_exponent(self.add(n, self.splat(WHOLE + 127.0)));
        self.mul(a, power)
    }
    /// `2^x` for `x` in -126..=127, to about one rounding.
    #[inline(always)]
    fn power_of_2(self, x: Self::F) -> Self::F {
        let (n, r, q) = reduce(self, x);
        self.scale(self.mul_add(q, r, self.splat(1.0)), n)
    }
    /// Lanes `n..` replaced by `fill`.
    fn keep_first(self, a: Self::F, n: usize, fill: Self::F) -> Self::F;
    fn sum(self, a: Self::F) -> f32;
    fn max_lane(self, a: Self::F) -> f32;

    /// The first `LANES` values of `x`.
    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::F {
        assert!(x.len() >= Self::LANES);
        // SAFETY: the slice holds `LANES` floats.
        unsafe { self.load_ptr(x.as_ptr()) }
    }
    /// Writes the first `LANES` values of `out`.
    #[inline(always)]
    fn store(self, out: &mut [f32], x: Self::F) {
        assert!(out.len() >= Self::LANES);
        // SAFETY: the slice holds `LANES` floats.
        unsafe { self.store_ptr(out.as_mut_ptr(), x) }
    }
    /// A whole slice shorter than a vector; the lanes beyond it are 0.
    #[inline(always)]
    fn load_tail(self, x: &[f32]) -> Self::F {
        assert!(x.len() < Self::LANES);
        // SAFETY: exactly `x.len()` floats are read.
        unsafe { self.load_first_ptr(x.as_ptr(), x.len()) }
    }
    /// Writes a whole slice shorter than a vector.
    #[inline(always)]
    fn store_tail(self, out: &mut [f32], x: Self::F) {
        assert!(out.len() < Self::LANES);
        // SAFETY: exactly `out.len()` floats are written.
        unsafe { self.store_first_ptr(out.as_mut_ptr(), x, out.len()) }
    }
}
