//! The few operations on whole buffers that no other kernel absorbs.

use crate::isa::Kernels;
use crate::simd::{Kernel, Simd};

/// Of a cache line.
#[cfg(target_arch = "x86_64")]
const FLOATS_OF_A_LINE: usize = 16;

impl Kernels {
    /// `out += x`, of equal lengths.
    pub fn add(self, x: &[f32], out: &mut [f32]) {
        assert_eq!(x.len(), out.len(), "add: lengths differ");
        self.run(Binary::<Add> { x, out, op: Add });
    }

    /// Adds rows that lie apart to rows that lie one after another.
    ///
    /// # Shapes
    /// `x` (rows, width), each row `step` after the one before; `out` (rows, width).
    pub fn add_rows(self, x: &[f32], step: usize, out: &mut [f32], width: usize) {
        if out.is_empty() {
            return;
        }
        assert!(width > 0 && out.len().is_multiple_of(width), "add_rows: out isn't rows of {width}");
        let last = (out.len() / width - 1) * step;
        assert!(width <= step && last + width <= x.len(), "add_rows: x is too short");
        self.run(AddRows { x, step, out, width });
    }

    /// Asks for numbers that will be read soon, so that they lie in a cache by then. It changes nothing.
    pub fn fetch(self, x: &[f32]) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            // SAFETY: every x86-64 has the instruction, which reads nothing that a program could see.
            let line = |first: &f32| unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(first).cast()) };
            // Four at a time: counting lines would take longer than asking for them.
            let (fours, rest) = x.as_chunks::<{ 4 * FLOATS_OF_A_LINE }>();
            fours.iter().for_each(|four| (0..4).for_each(|i| line(&four[i * FLOATS_OF_A_LINE])));
            rest.chunks(FLOATS_OF_A_LINE).for_each(|rest| line(&rest[0]));
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = x;
    }

    /// `out *= x`, of equal lengths.
    pub fn multiply(self, x: &[f32], out: &mut [f32]) {
        assert_eq!(x.len(), out.len(), "multiply: lengths differ");
        self.run(Binary { x, out, op: Multiply });
    }

    /// `out += factor * x`, of equal lengths.
    pub fn add_scaled(self, factor: f32, x: &[f32], out: &mut [f32]) {
        assert_eq!(x.len(), out.len(), "add_scaled: lengths differ");
        self.run(Binary { x, out, op: AddScaled(factor) });
    }

    /// `out += a * b`, of equal lengths.
    pub fn add_product(self, a: &[f32], b: &[f32], out: &mut [f32]) {
        assert_eq!(a.len(), out.len(), "add_product: lengths differ");
        assert_eq!(b.len(), out.len(), "add_product: lengths differ");
        self.run(AddProduct { a, b, out });
    }

    /// Adds to `sums` each column's sum over the rows, as for the gradient of a bias.
    ///
    /// # Shapes
    /// `x` (rows, columns), `sums` (columns).
    pub fn add_column_sums(self, x: &[f32], sums: &mut [f32]) {
        if sums.is_empty() {
            assert!(x.is_empty(), "add_column_sums: rows of 0 columns hold nothing");
            return;
        }
        assert_eq!(x.len() % sums.len(), 0, "add_column_sums: x isn't rows of {}", sums.len());
        self.run(ColumnSums { x, sums });
    }
}

trait Op: Copy {
    fn apply<S: Simd>(self, s: S, x: S::F, out: S::F) -> S::F;
}

#[derive(Clone, Copy)]
struct Add;
impl Op for Add {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: S::F, out: S::F) -> S::F {
        s.add(out, x)
    }
}

#[derive(Clone, Copy)]
struct Multiply;
impl Op for Multiply {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: S::F, out: S::F) -> S::F {
        s.mul(out, x)
    }
}

#[derive(Clone, Copy)]
struct AddScaled(f32);
impl Op for AddScaled {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: S::F, out: S::F) -> S::F {
        s.mul_add(s.splat(self.0), x, out)
    }
}

struct Binary<'a, O> {
    x: &'a [f32],
    out: &'a mut [f32],
    op: O,
}

impl<O: Op> Kernel for Binary<'_, O> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut source = self.x.chunks_exact(S::LANES);
        let mut target = self.out.chunks_exact_mut(S::LANES);
        for (x, y) in (&mut source).zip(&mut target) {
            let value = self.op.apply(s, s.load(x), s.load(y));
            s.store(y, value);
        }
        let tail = target.into_remainder();
        let value = self.op.apply(s, s.load_tail(source.remainder()), s.load_tail(tail));
        s.store_tail(tail, value);
    }
}

struct AddRows<'a> {
    x: &'a [f32],
    step: usize,
    out: &'a mut [f32],
    width: usize,
}

impl Kernel for AddRows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { x, step, out, width } = self;
        for (x, out) in x.chunks(step).zip(out.chunks_exact_mut(width)) {
            Binary { x: &x[..width], out, op: Add }.run(s);
        }
    }
}

struct AddProduct<'a> {
    a: &'a [f32],
    b: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for AddProduct<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut a = self.a.chunks_exact(S::LANES);
        let mut b = self.b.chunks_exact(S::LANES);
        let mut out = self.out.chunks_exact_mut(S::LANES);
        for ((a, b), y) in (&mut a).zip(&mut b).zip(&mut out) {
            let value = s.mul_add(s.load(a), s.load(b), s.load(y));
            s.store(y, value);
        }
        let tail = out.into_remainder();
        let value = s.mul_add(s.load_tail(a.remainder()), s.load_tail(b.remainder()), s.load_tail(tail));
        s.store_tail(tail, value);
    }
}

struct ColumnSums<'a> {
    x: &'a [f32],
    sums: &'a mut [f32],
}

impl Kernel for ColumnSums<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // Four rows at a time: a quarter of the traffic of the sums.
        let columns = self.sums.len();
        let mut blocks = self.x.chunks_exact(4 * columns);
        for block in &mut blocks {
            let (upper, lower) = block.split_at(2 * columns);
            let (row0, row1) = upper.split_at(columns);
            let (row2, row3) = lower.split_at(columns);
            let mut j = 0;
            while j + S::LANES <= columns {
                let sum01 = s.add(s.load(&row0[j..]), s.load(&row1[j..]));
                let sum23 = s.add(s.load(&row2[j..]), s.load(&row3[j..]));
                let sum = s.add(s.load(&self.sums[j..]), s.add(sum01, sum23));
                s.store(&mut self.sums[j..], sum);
                j += S::LANES;
            }
            for j in j..columns {
                self.sums[j] += (row0[j] + row1[j]) + (row2[j] + row3[j]);
            }
        }
        for row in blocks.remainder().chunks_exact(columns) {
            Binary { x: row, out: &mut *self.sums, op: Add }.run(s);
        }
    }
}
