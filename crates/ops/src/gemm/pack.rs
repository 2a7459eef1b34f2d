//! The right-hand side of products, rearranged once for many.

use crate::buffer::AlignedBuffer;
use crate::isa::{Kernels, Precision};
use crate::simd::{Kernel, Simd};

/// The right-hand matrix of a product, `(inner, columns)`, rearranged for one instruction set and precision.
///
/// Columns are cut into panels as wide as a register tile, and each panel is stored row after row, padded with zeros to
/// whole vectors. In bf16 an element of a panel holds two, of neighbouring rows.
#[derive(Clone, Debug, Default)]
pub struct PackedMatrix {
    pub(super) kernels: Kernels,
    pub(super) inner: usize,
    pub(super) columns: usize,
    pub(super) data: AlignedBuffer,
}

impl PackedMatrix {
    /// Room for an `(inner, columns)` matrix, all zero.
    #[must_use]
    pub fn zeros(kernels: Kernels, inner: usize, columns: usize) -> Self {
        let mut packed = Self::default();
        packed.resize(kernels, inner, columns);
        packed
    }

    /// Makes room for an `(inner, columns)` matrix, in the memory that is there where it is enough. What it holds means nothing until one is
    /// packed.
    pub fn resize(&mut self, kernels: Kernels, inner: usize, columns: usize) {
        let units = match kernels.precision() {
            Precision::F32 => inner,
            Precision::Bf16 => inner.div_ceil(2),
        };
        (self.kernels, self.inner, self.columns) = (kernels, inner, columns);
        self.data.resize(units * kernels.run(PaddedColumns { columns }));
    }

    /// Packs an `(out, in)` weight for `y = x W^T`: the matrix `(in, out)`.
    #[must_use]
    pub fn linear_forward(kernels: Kernels, weight: &[f32], out: usize, inputs: usize) -> Self {
        let mut packed = Self::zeros(kernels, inputs, out);
        packed.pack_transposed(weight);
        packed
    }

    /// Packs an `(out, in)` weight for `dx = dy W`: the matrix `(out, in)`.
    #[must_use]
    pub fn linear_backward(kernels: Kernels, weight: &[f32], out: usize, inputs: usize) -> Self {
        let mut packed = Self::zeros(kernels, out, inputs);
        packed.pack(weight);
        packed
    }

    /// Replaces the contents by `matrix`, `(inner, columns)` row-major.
    pub fn pack(&mut self, matrix: &[f32]) {
        let (inner, columns) = (self.inner, self.columns);
        assert_eq!(matrix.len(), inner * columns, "pack: the matrix isn't ({inner}, {columns})");
        self.pack_view(View { data: matrix, inner_step: columns, column_step: 1 });
    }

    /// Replaces the contents by the transpose of `matrix`, `(columns, inner)` row-major.
    pub fn pack_transposed(&mut self, matrix: &[f32]) {
        let (inner, columns) = (self.inner, self.columns);
        assert_eq!(matrix.len(), inner * columns, "pack: the matrix isn't ({columns}, {inner})");
        self.pack_view(View { data: matrix, inner_step: 1, column_step: inner });
    }

    fn pack_view(&mut self, view: View<'_>) {
        let (inner, columns) = (self.inner, self.columns);
        if inner == 0 || columns == 0 {
            return;
        }
        match self.kernels.precision() {
            Precision::F32 => self.kernels.run(Pack::<false> { view, inner, columns, out: &mut self.data }),
            Precision::Bf16 => {
                self.kernels.run_pairs(Pack::<true> { view, inner, columns, out: &mut self.data })
            }
        }
    }

    /// Rows: the length of the reduction.
    #[must_use]
    pub fn inner(&self) -> usize {
        self.inner
    }

    /// Columns of the matrix, and of the products made with it.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }
}

struct PaddedColumns {
    columns: usize,
}

impl Kernel for PaddedColumns {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        self.columns.next_multiple_of(S::LANES)
    }
}

/// Element (p, j) is `data[p * inner_step + j * column_step]`; one of the steps is 1.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) data: &'a [f32],
    pub(super) inner_step: usize,
    pub(super) column_step: usize,
}

struct Pack<'a, const PAIRS: bool> {
    view: View<'a>,
    inner: usize,
    columns: usize,
    out: &'a mut [f32],
}

impl<const PAIRS: bool> Kernel for Pack<'_, PAIRS> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = S::TILE_VECTORS * S::LANES;
        let units = if PAIRS { self.inner.div_ceil(2) } else { self.inner };
        let mut rest = self.out;
        for first in (0..self.columns).step_by(width) {
            let columns = width.min(self.columns - first);
            let (panel, later) = rest.split_at_mut(units * columns.next_multiple_of(S::LANES));
            let view = View { data: &self.view.data[first * self.view.column_step..], ..self.view };
            pack_panel::<S, PAIRS>(s, view, self.inner, columns, panel);
            rest = later;
        }
    }
}

/// Rows of `columns` elements, or pairs of the elements of two rows, each padded with zeros to whole vectors.
#[inline(always)]
pub(super) fn pack_panel<S: Simd, const PAIRS: bool>(
    s: S,
    view: View<'_>,
    inner: usize,
    columns: usize,
    panel: &mut [f32],
) {
    let step = columns.next_multiple_of(S::LANES);
    let units = if PAIRS { inner.div_ceil(2) } else { inner };
    if view.column_step == 1 {
        for (unit, to) in panel.chunks_exact_mut(step).take(units).enumerate() {
            if PAIRS {
                let low = &view.data[2 * unit * view.inner_step..][..columns];
                let high: &[f32] = if 2 * unit + 1 < inner {
                    &view.data[(2 * unit + 1) * view.inner_step..][..columns]
                } else {
                    &[]
                };
                pair_rows(s, low, high, to);
            } else {
                copy_padded(s, &view.data[unit * view.inner_step..][..columns], to);
            }
        }
        return;
    }
    let mut buffer = [0.0f32; 128];
    for column in 0..columns {
        let from = &view.data[column * view.column_step..][..inner];
        if PAIRS {
            for (block, from) in from.chunks(2 * buffer.len()).enumerate() {
                let pairs = &mut buffer[..from.len().div_ceil(2)];
                pair_row(s, from, pairs);
                scatter(pairs, &mut panel[block * 128 * step + column..], step);
            }
        } else {
            scatter(from, &mut panel[column..], step);
        }
    }
    if columns < step {
        for to in panel.chunks_exact_mut(step).take(units) {
            to[columns..].fill(0.0);
        }
    }
}

#[inline(always)]
fn scatter(from: &[f32], to: &mut [f32], step: usize) {
    for (value, to) in from.iter().zip(to.iter_mut().step_by(step)) {
        *to = *value;
    }
}

/// Copies a row too short for a call to the library to be worth it.
#[inline(always)]
pub(super) fn copy_row<S: Simd>(s: S, from: &[f32], to: &mut [f32]) {
    let mut source = from.chunks_exact(S::LANES);
    let mut target = to.chunks_exact_mut(S::LANES);
    for (x, y) in (&mut source).zip(&mut target) {
        s.store(y, s.load(x));
    }
    s.store_tail(target.into_remainder(), s.load_tail(source.remainder()));
}

/// Copies to a row of whole vectors, zeros after the end.
#[inline(always)]
pub(crate) fn copy_padded<S: Simd>(s: S, from: &[f32], to: &mut [f32]) {
    let mut source = from.chunks_exact(S::LANES);
    let mut target = to.chunks_exact_mut(S::LANES);
    for (x, y) in (&mut source).zip(&mut target) {
        s.store(y, s.load(x));
    }
    if let Some(y) = target.next() {
        s.store(y, s.load_tail(source.remainder()));
    }
}

/// A vector from `at`; zeros after the end of the slice.
#[inline(always)]
fn load_or_zero<S: Simd>(s: S, x: &[f32], at: usize) -> S::F {
    let x = &x[at.min(x.len())..];
    if x.len() >= S::LANES { s.load(x) } else { s.load_tail(x) }
}

/// Pairs of the elements of two rows, `high` empty or as long as `low`; whole vectors are written as far as `to` has them,
/// zeros after the end.
#[inline(always)]
pub(super) fn pair_rows<S: Simd>(s: S, low: &[f32], high: &[f32], to: &mut [f32]) {
    let mut at = 0;
    let mut target = to.chunks_exact_mut(S::LANES);
    for to in &mut target {
        s.store(to, s.pair(load_or_zero(s, low, at), load_or_zero(s, high, at)));
        at += S::LANES;
    }
    let to = target.into_remainder();
    s.store_tail(to, s.pair(load_or_zero(s, low, at), load_or_zero(s, high, at)));
}

/// Pairs of neighbours; a last one without neighbour gets 0.
#[inline(always)]
pub(super) fn pair_row<S: Simd>(s: S, from: &[f32], to: &mut [f32]) {
    assert_eq!(to.len(), from.len().div_ceil(2));
    let mut at = 0;
    let mut target = to.chunks_exact_mut(S::LANES);
    for to in &mut target {
        s.store(to, s.pair_neighbours(load_or_zero(s, from, at), load_or_zero(s, from, at + S::LANES)));
        at += 2 * S::LANES;
    }
    let to = target.into_remainder();
    s.store_tail(to, s.pair_neighbours(load_or_zero(s, from, at), load_or_zero(s, from, at + S::LANES)));
}
