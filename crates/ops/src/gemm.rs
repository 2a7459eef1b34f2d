//! Matrix products: activations times weights packed once a step, and the weights' gradient.
//!
//! Weights are `(out, in)` and row-major, as PyTorch's `Linear`. The three products of a linear layer are
//!
//! | product | here |
//! | --- | --- |
//! | `y = x W^T + b` | [`Kernels::matmul`] with [`PackedMatrix::linear_forward`] |
//! | `dx = dy W` | [`Kernels::matmul`] with [`PackedMatrix::linear_backward`] |
//! | `dW += dy^T x` | [`Kernels::add_weight_gradient`] |

pub(crate) mod pack;
pub(crate) mod tile;

pub use pack::PackedMatrix;

use crate::buffer::Scratch;
use crate::gelu;
use crate::isa::{Kernels, Precision};
use crate::simd::{Kernel, Simd};
use pack::{View, copy_row, pack_panel, pair_row, pair_rows};
use std::ops::Range;
use tile::{Tile, TileStart, multiply, tile_rows};

/// Steps of the reduction between two visits of an output tile: a panel's share, 64 KB at most, stays near for the tiles
/// below.
const STEPS: usize = 256;
/// Rows of the activations that pass over all panels together: they stay in the second-level cache.
const ROWS: usize = 48;

/// Of a weight gradient: rows added up at once (four sequences of 41 points, an LSTM's chunk), inputs packed together (a
/// multiple of every panel's width), and outputs that pass over those inputs together. All fit in the second-level cache
/// together.
const DEPTH: usize = 336;
const GROUP: usize = 256;
const BLOCK: usize = 48;
/// Of more outputs than this each block is packed: their rows are so far apart that each is on a page of its own, and they
/// fall together in the first-level cache.
const FAR_APART: usize = 256;

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
    pub fn matmul(
        self,
        a: &[f32],
        b: &PackedMatrix,
        start: Start<'_>,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        self.product(a, b, start, out, After::Nothing, scratch);
    }

    /// `pre = a b + bias`, `out = gelu(pre)`.
    ///
    /// # Shapes
    /// `a` (rows, b.inner), `bias` (b.columns), `pre` and `out` (rows, b.columns).
    pub fn matmul_gelu(
        self,
        a: &[f32],
        b: &PackedMatrix,
        bias: &[f32],
        pre: &mut [f32],
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        assert_eq!(pre.len(), out.len(), "matmul_gelu: pre and out differ");
        self.product(a, b, Start::Bias(bias), pre, After::Gelu(out), scratch);
    }

    /// `out = gelu(a b + bias)`, the pre-activation not kept: for passes without a gradient.
    ///
    /// # Shapes
    /// `a` (rows, b.inner), `bias` (b.columns), `out` (rows, b.columns).
    pub fn matmul_gelu_only(
        self,
        a: &[f32],
        b: &PackedMatrix,
        bias: &[f32],
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        self.product(a, b, Start::Bias(bias), out, After::GeluInPlace, scratch);
    }

    /// The gradient of the pre-activation of a GELU between two linear layers: `out = (dy b) * gelu'(pre)`, and `pre` is
    /// replaced by `gelu(pre)`, which the weight gradient of the later layer needs.
    ///
    /// # Shapes
    /// `dy` (rows, b.inner), `pre` and `out` (rows, b.columns).
    pub fn matmul_gelu_backward(
        self,
        dy: &[f32],
        b: &PackedMatrix,
        pre: &mut [f32],
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        assert_eq!(pre.len(), out.len(), "matmul_gelu_backward: pre and out differ");
        self.product(dy, b, Start::Zero, out, After::GeluBackward(pre), scratch);
    }

    fn product(
        self,
        a: &[f32],
        b: &PackedMatrix,
        start: Start<'_>,
        out: &mut [f32],
        after: After<'_>,
        scratch: &mut Scratch,
    ) {
        let (inner, columns) = (b.inner, b.columns);
        assert_eq!(self, b.kernels, "matmul: the matrix was packed for other kernels");
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
        let left = Left { a, rows, inner };
        let packed = &b.data;
        match self.precision() {
            Precision::F32 => {
                self.run(Product::<false> { left, packed, start, out, columns, after, scratch })
            }
            Precision::Bf16 => {
                self.run_pairs(Product::<true> { left, packed, start, out, columns, after, scratch })
            }
        }
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
        match self.precision() {
            Precision::F32 => self.run(WeightGradient::<false> { dy, x, rows, out, inputs, dw, scratch }),
            Precision::Bf16 => {
                self.run_pairs(WeightGradient::<true> { dy, x, rows, out, inputs, dw, scratch })
            }
        }
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

/// The left side of a product: (rows, inner).
#[derive(Clone, Copy)]
struct Left<'a> {
    a: &'a [f32],
    rows: usize,
    inner: usize,
}

struct Product<'a, const PAIRS: bool> {
    left: Left<'a>,
    packed: &'a [f32],
    start: Start<'a>,
    out: &'a mut [f32],
    columns: usize,
    after: After<'a>,
    scratch: &'a mut Scratch,
}

impl<const PAIRS: bool> Kernel for Product<'_, PAIRS> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { left: Left { a, rows, inner }, packed, start, out, columns, mut after, scratch } = self;
        let width = S::TILE_VECTORS * S::LANES;
        let units = if PAIRS { inner.div_ceil(2) } else { inner };
        for top in (0..rows).step_by(ROWS) {
            let bottom = rows.min(top + ROWS);
            let a = &a[top * inner..bottom * inner];
            let a = if PAIRS { pair_block(s, a, inner, scratch) } else { a };
            for left in (0..columns).step_by(width) {
                let columns_here = width.min(columns - left);
                let b_step = columns_here.next_multiple_of(S::LANES);
                let mut done = 0;
                loop {
                    let steps = STEPS.min(units - done);
                    let mut row = top;
                    while row < bottom {
                        let rows_here = tile_rows::<S>(bottom - row);
                        let at = row * columns + left;
                        let tile = Tile {
                            a: &a[(row - top) * units + done..],
                            a_step: units,
                            b: &packed[left * units + done * b_step..],
                            b_step,
                            steps,
                            c: &mut out[at..],
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
                        multiply::<S, false, PAIRS>(s, rows_here, tile);
                        row += rows_here;
                    }
                    done += steps;
                    if done == units {
                        break;
                    }
                }
            }
            after.apply(s, out, top * columns..bottom * columns);
        }
    }
}

/// Rows of `inner` values as rows of pairs of bf16.
#[inline(always)]
fn pair_block<'a, S: Simd>(s: S, a: &[f32], inner: usize, scratch: &'a mut Scratch) -> &'a [f32] {
    if inner == 0 {
        return &[];
    }
    let units = inner.div_ceil(2);
    let pairs = scratch.floats.at_least(a.len() / inner * units);
    for (from, to) in a.chunks_exact(inner).zip(pairs.chunks_exact_mut(units)) {
        pair_row(s, from, to);
    }
    pairs
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

struct WeightGradient<'a, const PAIRS: bool> {
    dy: &'a [f32],
    x: &'a [f32],
    rows: usize,
    out: usize,
    inputs: usize,
    dw: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl<const PAIRS: bool> Kernel for WeightGradient<'_, PAIRS> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { dy, x, rows, out, inputs, dw, scratch } = self;
        let width = S::TILE_VECTORS * S::LANES;
        let packed = PAIRS || out > FAR_APART;
        let most = if PAIRS { DEPTH.min(rows).div_ceil(2) } else { DEPTH.min(rows) };
        let group = GROUP.min(inputs.next_multiple_of(S::LANES));
        let block = BLOCK.min(out);
        let memory = scratch.floats.at_least(most * group + if packed { most * block } else { 0 });
        let (panels, block) = memory.split_at_mut(most * group);
        for top in (0..rows).step_by(DEPTH) {
            let count = DEPTH.min(rows - top);
            let steps = if PAIRS { count.div_ceil(2) } else { count };
            let dy = &dy[top * out..][..count * out];
            for group_left in (0..inputs).step_by(GROUP) {
                let group_right = inputs.min(group_left + GROUP);
                for left in (group_left..group_right).step_by(width) {
                    let columns = width.min(group_right - left);
                    let view = View { data: &x[top * inputs + left..], inner_step: inputs, column_step: 1 };
                    let panel = &mut panels[(left - group_left) * steps..];
                    pack_panel::<S, PAIRS>(s, view, count, columns, panel);
                }
                for first in (0..out).step_by(BLOCK) {
                    let block_rows = BLOCK.min(out - first);
                    let (a, a_step) = if packed {
                        let block = &mut block[..block_rows * steps];
                        pack_left::<S, PAIRS>(s, &dy[first..], out, block_rows, block);
                        (&*block, block_rows)
                    } else {
                        (&dy[first..], out)
                    };
                    for left in (group_left..group_right).step_by(width) {
                        let columns = width.min(group_right - left);
                        let mut row = 0;
                        while row < block_rows {
                            let rows_here = tile_rows::<S>(block_rows - row);
                            let tile = Tile {
                                a: &a[row..],
                                a_step,
                                b: &panels[(left - group_left) * steps..],
                                b_step: columns.next_multiple_of(S::LANES),
                                steps,
                                c: &mut dw[(first + row) * inputs + left..],
                                c_step: inputs,
                                columns,
                                start: TileStart::Output,
                            };
                            multiply::<S, true, PAIRS>(s, rows_here, tile);
                            row += rows_here;
                        }
                    }
                }
            }
        }
    }
}

/// `width` columns of rows `step` apart, or pairs of two rows each, one after the other.
#[inline(always)]
fn pack_left<S: Simd, const PAIRS: bool>(s: S, rows: &[f32], step: usize, width: usize, to: &mut [f32]) {
    for (i, to) in to.chunks_exact_mut(width).enumerate() {
        if PAIRS {
            let low = &rows[2 * i * step..][..width];
            let high = rows.get((2 * i + 1) * step..).and_then(|row| row.get(..width)).unwrap_or(&[]);
            pair_rows(s, low, high, to);
        } else {
            copy_row(s, &rows[i * step..][..width], to);
        }
    }
}
