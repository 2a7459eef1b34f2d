//! The register tile all products are made of.

use crate::simd::{Kernel, Simd, prefetch};

/// What a tile's sums are added to.
#[derive(Clone, Copy)]
pub(crate) enum TileStart<'a> {
    Zero,
    /// What the output holds.
    Output,
    /// A row vector; it begins at the tile's first column.
    Bias(&'a [f32]),
    /// A row vector plus a matrix with the output's row step; both begin at the tile's first element.
    BiasPlus(&'a [f32], &'a [f32]),
}

/// A few rows of a product, and as many columns as fit in registers: `c = start + a b`.
pub(crate) struct Tile<'a> {
    /// Element (row i, step p) is `a[i * a_step + p]`; `a[i + p * a_step]` if transposed.
    pub a: &'a [f32],
    pub a_step: usize,
    /// Element (step p, column j) is `b[p * b_step + j]`, for `columns` rounded up to whole vectors.
    pub b: &'a [f32],
    pub b_step: usize,
    pub steps: usize,
    /// Element (row i, column j) is `c[i * c_step + j]`.
    pub c: &'a mut [f32],
    pub c_step: usize,
    pub columns: usize,
    pub start: TileStart<'a>,
}

/// How long a slice has to be for `count` runs of `length` elements, `step` apart.
#[inline(always)]
fn extent(count: usize, step: usize, length: usize) -> usize {
    if count == 0 || length == 0 { 0 } else { (count - 1) * step + length }
}

/// With `PAIRS`, each element of `a` and `b` is two bf16, of two steps of the reduction.
///
/// Computes a tile of `rows <= TILE_ROWS` rows and `columns <= TILE_VECTORS * LANES` columns.
#[inline(always)]
pub(crate) fn multiply<S: Simd, const TRANSPOSED: bool, const PAIRS: bool>(
    s: S,
    rows: usize,
    tile: Tile<'_>,
) {
    let vectors = tile.columns.div_ceil(S::LANES);
    let (a_runs, a_run) = if TRANSPOSED { (tile.steps, rows) } else { (rows, tile.steps) };
    assert!(extent(a_runs, tile.a_step, a_run) <= tile.a.len());
    assert!(extent(tile.steps, tile.b_step, vectors * S::LANES) <= tile.b.len());
    let output = extent(rows, tile.c_step, tile.columns);
    assert!(output <= tile.c.len());
    if let TileStart::Bias(bias) | TileStart::BiasPlus(bias, _) = tile.start {
        assert!(tile.columns <= bias.len());
    }
    if let TileStart::BiasPlus(_, plus) = tile.start {
        assert!(output <= plus.len());
    }
    macro_rules! pick {
        ($($r:literal)*) => {
            match rows {
                // The comparisons with constants remove the sizes an instruction set doesn't use.
                $($r if $r <= S::TILE_ROWS => match vectors {
                    // The assertions above are what `Checked` promises; `vectors` is what `columns` needs.
                    1 => s.call(Checked::<$r, 1, TRANSPOSED, PAIRS>(tile)),
                    2 if S::TILE_VECTORS >= 2 => s.call(Checked::<$r, 2, TRANSPOSED, PAIRS>(tile)),
                    3 if S::TILE_VECTORS >= 3 => s.call(Checked::<$r, 3, TRANSPOSED, PAIRS>(tile)),
                    4 if S::TILE_VECTORS >= 4 => s.call(Checked::<$r, 4, TRANSPOSED, PAIRS>(tile)),
                    _ => assert_eq!(vectors, 0, "a tile is too wide"),
                },)*
                _ => assert_eq!(rows, 0, "a tile is too high"),
            }
        };
    }
    pick!(1 2 3 4 5 6)
}

/// How many rows the next tile takes of `left`: as many as fit, but the last two tiles share evenly.
#[inline(always)]
pub(crate) fn tile_rows<S: Simd>(left: usize) -> usize {
    if left > S::TILE_ROWS && left < 2 * S::TILE_ROWS { left.div_ceil(2) } else { left.min(S::TILE_ROWS) }
}

/// A tile whose slices hold every element its fields describe for `ROWS` rows, with `columns` in
/// `(VECTORS - 1) * LANES + 1 ..= VECTORS * LANES`; made by [`multiply`] only.
///
/// A kernel of its own, so that it is compiled as its own function and gets all registers for its accumulators.
struct Checked<'a, const ROWS: usize, const VECTORS: usize, const TRANSPOSED: bool, const PAIRS: bool>(
    Tile<'a>,
);

impl<const ROWS: usize, const VECTORS: usize, const TRANSPOSED: bool, const PAIRS: bool> Kernel
    for Checked<'_, ROWS, VECTORS, TRANSPOSED, PAIRS>
{
    type Output = ();
    #[allow(clippy::needless_range_loop)] // plain counted loops are the ones the compiler unrolls whole
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let t = self.0;
        if let TileStart::Output = t.start {
            // By the end of the sums the output they are added to is near.
            for i in 0..ROWS {
                prefetch(&t.c[i * t.c_step..][..t.columns]);
            }
        }
        let mut acc = [[s.splat(0.0); VECTORS]; ROWS];
        // Two pointers, three rows each: x86 addresses reach the first, second and third row of a pointer.
        let mut upper = t.a.as_ptr();
        let mut lower = if !TRANSPOSED && ROWS > 3 { upper.wrapping_add(3 * t.a_step) } else { upper };
        let mut b = t.b.as_ptr();
        for _ in 0..t.steps {
            let mut right = [s.splat(0.0); VECTORS];
            for v in 0..VECTORS {
                // SAFETY: step p < steps of `b`, whose whole vectors are inside the slice (`Checked`).
                right[v] = unsafe { s.load_ptr(b.add(v * S::LANES)) };
            }
            for i in 0..ROWS {
                let left = match i {
                    _ if TRANSPOSED => upper.wrapping_add(i),
                    0..3 => upper.wrapping_add(i * t.a_step),
                    _ => lower.wrapping_add((i - 3) * t.a_step),
                };
                // SAFETY: row i < ROWS, step p < steps of `a`, inside the slice (`Checked`).
                let left = s.splat(unsafe { *left });
                for v in 0..VECTORS {
                    acc[i][v] = if PAIRS {
                        s.dot_pairs(left, right[v], acc[i][v])
                    } else {
                        s.mul_add(left, right[v], acc[i][v])
                    };
                }
            }
            // These may pass the slices' ends after the last step, where they aren't read any more.
            upper = upper.wrapping_add(if TRANSPOSED { t.a_step } else { 1 });
            lower = lower.wrapping_add(1);
            b = b.wrapping_add(t.b_step);
        }
        let c = t.c.as_mut_ptr();
        let tail = t.columns - (VECTORS - 1) * S::LANES;
        for i in 0..ROWS {
            for v in 0..VECTORS {
                let at = i * t.c_step + v * S::LANES;
                let count = if v + 1 < VECTORS { S::LANES } else { tail };
                // SAFETY: `count` columns from `v * LANES` are inside the bias, and in row i < ROWS inside the output
                // and the matrix added to it (`Checked`).
                unsafe {
                    let sum = match t.start {
                        TileStart::Zero => acc[i][v],
                        TileStart::Output => s.add(load(s, c.add(at), count), acc[i][v]),
                        TileStart::Bias(bias) => {
                            s.add(load(s, bias.as_ptr().add(v * S::LANES), count), acc[i][v])
                        }
                        TileStart::BiasPlus(bias, plus) => {
                            let sum = s.add(load(s, bias.as_ptr().add(v * S::LANES), count), acc[i][v]);
                            s.add(load(s, plus.as_ptr().add(at), count), sum)
                        }
                    };
                    if count == S::LANES {
                        s.store_ptr(c.add(at), sum);
                    } else {
                        s.store_first_ptr(c.add(at), sum, count);
                    }
                }
            }
        }
    }
}

/// # Safety
/// `count <= LANES` floats can be read at `p`.
#[inline(always)]
unsafe fn load<S: Simd>(s: S, p: *const f32, count: usize) -> S::F {
    // SAFETY: the caller's promise.
    unsafe { if count == S::LANES { s.load_ptr(p) } else { s.load_first_ptr(p, count) } }
}
