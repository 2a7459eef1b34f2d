//! The register tile all products are made of.

use crate::simd::Simd;

/// What a tile's sums start from.
#[derive(Clone, Copy)]
pub(crate) enum TileStart {
    Zero,
    /// What the tile of the output holds.
    Output,
    /// A row vector.
    Bias(*const f32),
    /// A row vector plus a matrix with the output's layout; both point at the tile's first column.
    BiasPlus(*const f32, *const f32),
}

/// One tile: `rows` rows of the output, columns `0..columns` of one panel of the right-hand matrix.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    /// Element (row i, step p) of the left-hand matrix is at `a + i * row_step + p` (`a + i + p * row_step` if transposed).
    pub a: *const f32,
    pub row_step: usize,
    /// Element (step p, column j) of the panel is at `b + p * b_step + j`, for as many whole vectors as `columns` needs.
    pub b: *const f32,
    pub b_step: usize,
    pub steps: usize,
    pub c: *mut f32,
    pub c_step: usize,
    pub columns: usize,
    pub start: TileStart,
}

/// # Safety
/// Every address the fields describe, for `ROWS` rows, can be read (and `c` written), and no output aliases an input.
/// `(VECTORS - 1) * LANES < columns <= VECTORS * LANES`.
#[inline(always)]
unsafe fn tile<S: Simd, const ROWS: usize, const VECTORS: usize, const TRANSPOSED: bool>(s: S, t: Tile) {
    let full = t.columns == VECTORS * S::LANES;
    let tail = t.columns - (VECTORS - 1) * S::LANES;
    let mut acc = [[s.splat(0.0); VECTORS]; ROWS];
    // SAFETY: all addresses are those the caller vouches for; the last vector reads and writes `tail` columns only,
    // except of the panel, which has whole vectors.
    unsafe {
        let mut a = t.a;
        let mut b = t.b;
        for _ in 0..t.steps {
            let mut right = [s.splat(0.0); VECTORS];
            for v in 0..VECTORS {
                right[v] = s.load_ptr(b.add(v * S::LANES));
            }
            for i in 0..ROWS {
                let left = s.splat(*if TRANSPOSED { a.add(i) } else { a.add(i * t.row_step) });
                for v in 0..VECTORS {
                    acc[i][v] = s.mul_add(left, right[v], acc[i][v]);
                }
            }
            a = a.add(if TRANSPOSED { t.row_step } else { 1 });
            b = b.add(t.b_step);
        }
        for i in 0..ROWS {
            for v in 0..VECTORS {
                let at = i * t.c_step + v * S::LANES;
                let whole = full || v + 1 < VECTORS;
                let mut sum = acc[i][v];
                match t.start {
                    TileStart::Zero => {}
                    TileStart::Output => sum = s.add(load(s, t.c.add(at), whole, tail), sum),
                    TileStart::Bias(bias) => sum = s.add(load(s, bias.add(v * S::LANES), whole, tail), sum),
                    TileStart::BiasPlus(bias, plus) => {
                        sum = s.add(load(s, bias.add(v * S::LANES), whole, tail), sum);
                        sum = s.add(load(s, plus.add(at), whole, tail), sum);
                    }
                }
                if whole {
                    s.store_ptr(t.c.add(at), sum);
                } else {
                    s.store_first_ptr(t.c.add(at), sum, tail);
                }
            }
        }
    }
}

/// # Safety
/// `LANES` floats (`tail` floats if not `whole`) can be read at `p`.
#[inline(always)]
unsafe fn load<S: Simd>(s: S, p: *const f32, whole: bool, tail: usize) -> S::F {
    // SAFETY: the caller's promise.
    unsafe { if whole { s.load_ptr(p) } else { s.load_first_ptr(p, tail) } }
}

/// One tile of `rows <= TILE_ROWS` rows.
///
/// # Safety
/// As for [`Tile`]: every address it describes for `rows` rows and `columns` columns can be read (`c` written, `b` read
/// up to whole vectors), and no output aliases an input; `1 <= columns <= TILE_VECTORS * LANES`.
#[inline(always)]
pub(crate) unsafe fn any_tile<S: Simd, const TRANSPOSED: bool>(s: S, rows: usize, t: Tile) {
    debug_assert!(rows <= S::TILE_ROWS && t.columns <= S::TILE_VECTORS * S::LANES && t.columns > 0);
    let vectors = t.columns.div_ceil(S::LANES);
    macro_rules! pick {
        ($($r:literal)*) => {
            match rows {
                // The comparisons with constants remove the sizes an instruction set doesn't use.
                $($r if $r <= S::TILE_ROWS => match vectors {
                    // SAFETY: the caller's promise, and `vectors` is what `columns` needs.
                    1 => unsafe { tile::<S, $r, 1, TRANSPOSED>(s, t) },
                    2 if S::TILE_VECTORS >= 2 => unsafe { tile::<S, $r, 2, TRANSPOSED>(s, t) },
                    3 if S::TILE_VECTORS >= 3 => unsafe { tile::<S, $r, 3, TRANSPOSED>(s, t) },
                    4 if S::TILE_VECTORS >= 4 => unsafe { tile::<S, $r, 4, TRANSPOSED>(s, t) },
                    _ => {}
                },)*
                _ => {}
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
