//! Matrix products: activations times weights packed once a step, and the weights' gradient.
//!
//! Weights are `(out, in)` and row-major, as PyTorch's `Linear`. The three products of a linear layer are
//!
//! | product | here |
//! | --- | --- |
//! | `y = x W^T + b` | [`Kernels::matmul`] with [`PackedMatrix::linear_forward`] |
//! | `dx = dy W` | [`Kernels::matmul`] with [`PackedMatrix::linear_backward`] |
//! | `dW += dy^T x` | [`Kernels::add_weight_gradient`] |

pub(crate) mod tile;

use crate::buffer::{AlignedBuffer, Scratch};
use crate::gelu;
use crate::isa::Kernels;
use crate::simd::{Kernel, Simd};
use std::ops::Range;
use tile::{Tile, TileStart, multiply, tile_rows};

/// Steps of the reduction between two visits of an output tile: a panel's share stays in the first-level cache.
const STEPS: usize = 256;
/// Rows of the activations that pass over all panels together: they stay in the second-level cache.
const ROWS: usize = 48;

/// The right-hand matrix of a product, `(inner, columns)`, rearranged for one instruction set.
///
/// Columns are cut into panels as wide as a register tile, and each panel is stored row after row, padded with zeros to
/// whole vectors.
#[derive(Clone, Debug)]
pub struct PackedMatrix {
    kernels: Kernels,
    inner: usize,
    columns: usize,
    data: AlignedBuffer,
}

impl PackedMatrix {
    /// Room for an `(inner, columns)` matrix, all zero.
    pub fn zeros(kernels: Kernels, inner: usize, columns: usize) -> Self {
        let len = inner * kernels.run(PaddedColumns { columns });
        Self { kernels, inner, columns, data: AlignedBuffer::zeros(len) }
    }

    /// Packs an `(out, in)` weight for `y = x W^T`: the matrix `(in, out)`.
    pub fn linear_forward(kernels: Kernels, weight: &[f32], out: usize, inputs: usize) -> Self {
        let mut packed = Self::zeros(kernels, inputs, out);
        packed.pack_transposed(weight);
        packed
    }

    /// Packs an `(out, in)` weight for `dx = dy W`: the matrix `(out, in)`.
    pub fn linear_backward(kernels: Kernels, weight: &[f32], out: usize, inputs: usize) -> Self {
        let mut packed = Self::zeros(kernels, out, inputs);
        packed.pack(weight);
        packed
    }

    /// Replaces the contents by `matrix`, `(inner, columns)` row-major.
    pub fn pack(&mut self, matrix: &[f32]) {
        assert_eq!(matrix.len(), self.inner * self.columns, "pack: not ({}, {})", self.inner, self.columns);
        let (inner, columns) = (self.inner, self.columns);
        let view = View { data: matrix, inner_step: columns, column_step: 1 };
        self.kernels.run(Pack { view, inner, columns, out: &mut self.data });
    }

    /// Replaces the contents by the transpose of `matrix`, `(columns, inner)` row-major.
    pub fn pack_transposed(&mut self, matrix: &[f32]) {
        assert_eq!(matrix.len(), self.inner * self.columns, "pack: not ({}, {})", self.columns, self.inner);
        let (inner, columns) = (self.inner, self.columns);
        let view = View { data: matrix, inner_step: 1, column_step: inner };
        self.kernels.run(Pack { view, inner, columns, out: &mut self.data });
    }

    /// Rows: the length of the reduction.
    pub fn inner(&self) -> usize {
        self.inner
    }

    /// Columns of the matrix, and of the products made with it.
    pub fn columns(&self) -> usize {
        self.columns
    }
}

/// What a product is added to.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Nothing: the output is overwritten.
    Zero,
    /// The output's present values.
    Output,
    /// A bias, `(columns)`, on every row.
    Bias(&'a [f32]),
    /// A bias, `(columns)`, and a residual, `(rows, columns)`.
    BiasResidual(&'a [f32], &'a [f32]),
}

impl Kernels {
    /// `out = start + a b`.
    ///
    /// # Shapes
    /// `a` (rows, b.inner), `out` (rows, b.columns); `rows` is what `out` holds.
    pub fn matmul(self, a: &[f32], b: &PackedMatrix, start: Start<'_>, out: &mut [f32]) {
        self.product(a, b, start, out, After::Nothing);
    }

    /// `pre = a b + bias`, `out = gelu(pre)`.
    ///
    /// # Shapes
    /// `a` (rows, b.inner), `bias` (b.columns), `pre` and `out` (rows, b.columns).
    pub fn matmul_gelu(self, a: &[f32], b: &PackedMatrix, bias: &[f32], pre: &mut [f32], out: &mut [f32]) {
        assert_eq!(pre.len(), out.len(), "matmul_gelu: pre and out differ");
        self.product(a, b, Start::Bias(bias), pre, After::Gelu(out));
    }

    /// `out = gelu(a b + bias)`, the pre-activation not kept: for passes without a gradient.
    ///
    /// # Shapes
    /// `a` (rows, b.inner), `bias` (b.columns), `out` (rows, b.columns).
    pub fn matmul_gelu_only(self, a: &[f32], b: &PackedMatrix, bias: &[f32], out: &mut [f32]) {
        self.product(a, b, Start::Bias(bias), out, After::GeluInPlace);
    }

    /// The gradient of the pre-activation of a GELU between two linear layers: `out = (dy b) * gelu'(pre)`, and `pre` is
    /// replaced by `gelu(pre)`, which the weight gradient of the later layer needs.
    ///
    /// # Shapes
    /// `dy` (rows, b.inner), `pre` and `out` (rows, b.columns).
    pub fn matmul_gelu_backward(self, dy: &[f32], b: &PackedMatrix, pre: &mut [f32], out: &mut [f32]) {
        assert_eq!(pre.len(), out.len(), "matmul_gelu_backward: pre and out differ");
        self.product(dy, b, Start::Zero, out, After::GeluBackward(pre));
    }

    fn product(self, a: &[f32], b: &PackedMatrix, start: Start<'_>, out: &mut [f32], after: After<'_>) {
        let (inner, columns) = (b.inner, b.columns);
        assert_eq!(self, b.kernels, "matmul: the matrix was packed for {:?}", b.kernels.isa());
        if columns == 0 {
            assert!(out.is_empty(), "matmul: an output of 0 columns holds nothing");
            return;
        }
        let rows = out.len() / columns;
        assert_eq!(rows * columns, out.len(), "matmul: the output isn't rows of {columns}");
        assert_eq!(a.len(), rows * inner, "matmul: the left side isn't ({rows}, {inner})");
        if let Start::Bias(bias) | Start::BiasResidual(bias, _) = start {
            assert_eq!(bias.len(), columns, "matmul: the bias isn't ({columns})");
        }
        if let Start::BiasResidual(_, residual) = start {
            assert_eq!(residual.len(), out.len(), "matmul: the residual isn't ({rows}, {columns})");
        }
        self.run(Product { a, packed: &b.data, start, out, rows, inner, columns, after });
    }

    /// `dw += dy^T x`, summed over the rows.
    ///
    /// # Shapes
    /// `dy` (rows, out), `x` (rows, inputs), `dw` (out, inputs).
    pub fn add_weight_gradient(
        self,
        dy: &[f32],
        x: &[f32],
        rows: usize,
        dw: &mut [f32],
        scratch: &mut Scratch,
    ) {
        if rows == 0 || dw.is_empty() {
            return;
        }
        let (out, inputs) = (dy.len() / rows, x.len() / rows);
        assert_eq!(dy.len(), rows * out, "add_weight_gradient: dy isn't {rows} rows");
        assert_eq!(x.len(), rows * inputs, "add_weight_gradient: x isn't {rows} rows");
        assert_eq!(dw.len(), out * inputs, "add_weight_gradient: dw isn't ({out}, {inputs})");
        self.run(WeightGradient { dy, x, rows, out, inputs, dw, scratch });
    }
}

/// What happens to finished rows while they are in the second-level cache.
enum After<'a> {
    Nothing,
    /// The other buffer gets `gelu(out)`.
    Gelu(&'a mut [f32]),
    /// `out = gelu(out)`.
    GeluInPlace,
    /// `out *= gelu'(pre)`, `pre = gelu(pre)`.
    GeluBackward(&'a mut [f32]),
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
pub(crate) struct View<'a> {
    pub data: &'a [f32],
    pub inner_step: usize,
    pub column_step: usize,
}

struct Pack<'a> {
    view: View<'a>,
    inner: usize,
    columns: usize,
    out: &'a mut [f32],
}

impl Kernel for Pack<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = S::TILE_VECTORS * S::LANES;
        if self.inner == 0 {
            return;
        }
        let mut rest = self.out;
        for first in (0..self.columns).step_by(width) {
            let columns = width.min(self.columns - first);
            let padded = columns.next_multiple_of(S::LANES);
            let (panel, later) = rest.split_at_mut(self.inner * padded);
            let view = View { data: &self.view.data[first * self.view.column_step..], ..self.view };
            pack_panel(s, view, self.inner, columns, panel, padded);
            rest = later;
        }
    }
}

/// `panel[p * step + j]` = element (p, j) for `columns` columns, 0 from there to the next whole vector.
#[inline(always)]
pub(crate) fn pack_panel<S: Simd>(
    s: S,
    view: View<'_>,
    inner: usize,
    columns: usize,
    panel: &mut [f32],
    step: usize,
) {
    let padded = columns.next_multiple_of(S::LANES);
    if view.column_step == 1 {
        for (p, to) in panel.chunks_exact_mut(step).take(inner).enumerate() {
            let from = &view.data[p * view.inner_step..][..columns];
            copy(s, from, &mut to[..columns]);
            to[columns..padded].fill(0.0);
        }
    } else {
        for j in 0..columns {
            let from = &view.data[j * view.column_step..][..inner];
            for (value, to) in from.iter().zip(panel[j..].iter_mut().step_by(step)) {
                *to = *value;
            }
        }
        if columns < padded {
            for to in panel.chunks_exact_mut(step).take(inner) {
                to[columns..padded].fill(0.0);
            }
        }
    }
}

#[inline(always)]
fn copy<S: Simd>(s: S, from: &[f32], to: &mut [f32]) {
    let mut source = from.chunks_exact(S::LANES);
    let mut target = to.chunks_exact_mut(S::LANES);
    for (x, y) in (&mut source).zip(&mut target) {
        s.store(y, s.load(x));
    }
    target.into_remainder().copy_from_slice(source.remainder());
}

struct Product<'a> {
    a: &'a [f32],
    packed: &'a [f32],
    start: Start<'a>,
    out: &'a mut [f32],
    rows: usize,
    inner: usize,
    columns: usize,
    after: After<'a>,
}

impl Kernel for Product<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let Self { a, packed, start, rows, inner, columns, .. } = self;
        let width = S::TILE_VECTORS * S::LANES;
        for top in (0..rows).step_by(ROWS) {
            let bottom = rows.min(top + ROWS);
            for left in (0..columns).step_by(width) {
                let columns_here = width.min(columns - left);
                let b_step = columns_here.next_multiple_of(S::LANES);
                let mut done = 0;
                loop {
                    let steps = STEPS.min(inner - done);
                    let mut row = top;
                    while row < bottom {
                        let rows_here = tile_rows::<S>(bottom - row);
                        let at = row * columns + left;
                        let tile = Tile {
                            a: &a[row * inner + done..],
                            a_step: inner,
                            b: &packed[left * inner + done * b_step..],
                            b_step,
                            steps,
                            c: &mut self.out[at..],
                            c_step: columns,
                            columns: columns_here,
                            start: match start {
                                _ if done > 0 => TileStart::Output,
                                Start::Zero => TileStart::Zero,
                                Start::Output => TileStart::Output,
                                Start::Bias(bias) => TileStart::Bias(&bias[left..]),
                                Start::BiasResidual(bias, residual) => {
                                    TileStart::BiasPlus(&bias[left..], &residual[at..])
                                }
                            },
                        };
                        multiply::<S, false>(s, rows_here, tile);
                        row += rows_here;
                    }
                    done += steps;
                    if done == inner {
                        break;
                    }
                }
            }
            self.after.apply(s, self.out, top * columns..bottom * columns);
        }
    }
}

impl After<'_> {
    /// On the elements of one block of rows.
    #[inline(always)]
    fn apply<S: Simd>(&mut self, s: S, out: &mut [f32], block: Range<usize>) {
        let out = &mut out[block.clone()];
        match self {
            After::Nothing => {}
            After::Gelu(act) => gelu::forward(s, out, &mut act[block]),
            After::GeluInPlace => gelu::forward_in_place(s, out),
            After::GeluBackward(pre) => gelu::backward(s, &mut pre[block], out),
        }
    }
}

struct WeightGradient<'a> {
    dy: &'a [f32],
    x: &'a [f32],
    rows: usize,
    out: usize,
    inputs: usize,
    dw: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl Kernel for WeightGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { dy, x, rows, out, inputs, dw, scratch } = self;
        let width = S::TILE_VECTORS * S::LANES;
        let panel = scratch.floats.at_least(STEPS.min(rows) * width);
        for top in (0..rows).step_by(STEPS) {
            let steps = STEPS.min(rows - top);
            for left in (0..inputs).step_by(width) {
                let columns = width.min(inputs - left);
                let b_step = columns.next_multiple_of(S::LANES);
                let view = View { data: &x[top * inputs + left..], inner_step: inputs, column_step: 1 };
                pack_panel(s, view, steps, columns, panel, b_step);
                let mut row = 0;
                while row < out {
                    let rows_here = tile_rows::<S>(out - row);
                    let tile = Tile {
                        a: &dy[top * out + row..],
                        a_step: out,
                        b: panel,
                        b_step,
                        steps,
                        c: &mut dw[row * inputs + left..],
                        c_step: inputs,
                        columns,
                        start: TileStart::Output,
                    };
                    multiply::<S, true>(s, rows_here, tile);
                    row += rows_here;
                }
            }
        }
    }
}
