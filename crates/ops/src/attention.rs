//! Attention of one sequence, all heads, on the fused output of the query-key-value layer.
//!
//! A few query rows at a time, so that scores never leave the first-level cache; if it is causal, nothing right of the diagonal is
//! computed but what fills up a vector. Backward, probabilities come again from the scores and what [`Kernels::attention`] keeps of each row.

use crate::buffer::Scratch;
use crate::gemm::pack::copy_padded;
use crate::gemm::tile::{Tile, TileStart, multiply, tile_rows};
use crate::isa::Kernels;
use crate::math::exp2;
use crate::simd::{Kernel, MOST_LANES, Simd, prefetch, transpose};

/// Query rows whose probabilities the backward pass holds at once; a multiple of every tile's height.
const BLOCK: usize = 96;

/// Sizes of one sequence's attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Query tokens.
    pub tokens: usize,
    /// Whether each sees the prefix, itself and the tokens before it; else all.
    pub causal: bool,
    /// Earlier tokens, 0 for none, that every query sees and that have no queries of their own.
    pub prefix: usize,
    /// Heads; their width together is `heads * head_size`.
    pub heads: usize,
    /// Width of a head; scores are scaled by its inverse square root.
    pub head_size: usize,
}

impl AttentionShape {
    /// Floats kept of a forward pass for the backward pass: `(heads, tokens, 2)`.
    #[must_use]
    pub fn kept(self) -> usize {
        2 * self.heads * self.tokens
    }

    fn width(self) -> usize {
        self.heads * self.head_size
    }

    fn check(self, qkv: &[f32], prefix: &[f32], out: &[f32], softmax: &[f32]) {
        let width = self.width();
        assert_eq!(qkv.len(), self.tokens * 3 * width, "attention: qkv isn't ({}, 3 * {width})", self.tokens);
        assert_eq!(
            prefix.len(),
            self.prefix * 3 * width,
            "attention: prefix isn't ({}, 3 * {width})",
            self.prefix
        );
        assert_eq!(out.len(), self.tokens * width, "attention: out isn't ({}, {width})", self.tokens);
        assert_eq!(softmax.len(), self.kept(), "attention: softmax isn't (heads, tokens, 2)");
    }
}

impl Kernels {
    /// `out = softmax(q k^T / sqrt(head_size)) v` for each head; `softmax` keeps for the backward pass each row's
    /// largest score, scaled as its powers of 2 are and negated, and the inverse of their sum.
    ///
    /// # Shapes
    /// With `width = heads * head_size`: `qkv` (tokens, 3 width), each row queries, keys, values, heads contiguous;
    /// `prefix_qkv` (prefix, 3 width), of which keys and values are read; `out` (tokens, width); `softmax` (heads, tokens, 2).
    pub fn attention(
        self,
        shape: AttentionShape,
        qkv: &[f32],
        prefix_qkv: &[f32],
        out: &mut [f32],
        softmax: &mut [f32],
        scratch: &mut Scratch,
    ) {
        shape.check(qkv, prefix_qkv, out, softmax);
        if !out.is_empty() {
            self.run(Forward { rows: Rows { shape, qkv, prefix: prefix_qkv }, out, softmax, scratch });
        }
    }

    /// The gradient of [`Kernels::attention`]: `dqkv` is overwritten; the keys' and values' parts of `dprefix_qkv` are
    /// added to, its queries' part is left alone.
    ///
    /// # Shapes
    /// `qkv`, `prefix_qkv`, `softmax` as in the forward pass, `dout` (tokens, width), `dqkv` as `qkv`, `dprefix_qkv` as
    /// `prefix_qkv`.
    #[allow(clippy::too_many_arguments)]
    pub fn attention_backward(
        self,
        shape: AttentionShape,
        qkv: &[f32],
        prefix_qkv: &[f32],
        softmax: &[f32],
        dout: &[f32],
        dqkv: &mut [f32],
        dprefix_qkv: &mut [f32],
        scratch: &mut Scratch,
    ) {
        shape.check(qkv, prefix_qkv, dout, softmax);
        assert_eq!(dqkv.len(), qkv.len(), "attention_backward: dqkv isn't as qkv");
        assert_eq!(
            dprefix_qkv.len(),
            prefix_qkv.len(),
            "attention_backward: dprefix_qkv isn't as prefix_qkv"
        );
        if !dout.is_empty() {
            let rows = Rows { shape, qkv, prefix: prefix_qkv };
            self.run(Backward { rows, softmax, dout, dqkv, dprefix: dprefix_qkv, scratch });
        }
    }
}

/// The three parts of a fused row.
#[derive(Clone, Copy)]
enum Part {
    Query = 0,
    Key = 1,
    Value = 2,
}

/// Where queries, keys and values are.
#[derive(Clone, Copy)]
struct Rows<'a> {
    shape: AttentionShape,
    qkv: &'a [f32],
    prefix: &'a [f32],
}

impl<'a> Rows<'a> {
    /// Floats from a row to the next.
    #[inline(always)]
    fn step(&self) -> usize {
        3 * self.shape.width()
    }

    /// Where a head's part of a row begins.
    #[inline(always)]
    fn offset(&self, part: Part, head: usize) -> usize {
        part as usize * self.shape.width() + head * self.shape.head_size
    }

    /// Key or value number `token`, counted from the start of the prefix.
    #[inline(always)]
    fn seen(&self, part: Part, head: usize, token: usize) -> &'a [f32] {
        let at = self.offset(part, head);
        let row = match token.checked_sub(self.shape.prefix) {
            None => &self.prefix[token * self.step()..],
            Some(token) => &self.qkv[token * self.step()..],
        };
        &row[at..at + self.shape.head_size]
    }

    /// Brings what the next head needs nearer while this one is computed: a head's part of a row is short, and rows are
    /// far apart, which the machine doesn't foresee. `first..last` of the queries are done with, so as large a share.
    #[inline(always)]
    fn prefetch(&self, head: usize, first: usize, last: usize) {
        if head >= self.shape.heads {
            return;
        }
        let share = |token: usize| self.all() * token / self.shape.tokens;
        for token in share(first)..share(last) {
            prefetch(self.seen(Part::Key, head, token));
            prefetch(self.seen(Part::Value, head, token));
        }
        for token in first..last {
            prefetch(
                &self.qkv[token * self.step() + self.offset(Part::Query, head)..][..self.shape.head_size],
            );
        }
    }

    /// What scores are multiplied by, before their exponentials and as powers of 2.
    #[inline(always)]
    fn scales(&self) -> (f32, f32) {
        let scale = 1.0 / (self.shape.head_size as f32).sqrt();
        (scale, scale * std::f32::consts::LOG2_E)
    }

    /// Tokens a query can see at most.
    #[inline(always)]
    fn all(&self) -> usize {
        self.shape.prefix + self.shape.tokens
    }

    /// Tokens that a query sees, counted from the start of the prefix.
    #[inline(always)]
    fn visible(&self, query: usize) -> usize {
        if self.shape.causal { self.shape.prefix + query + 1 } else { self.all() }
    }

    /// Floats between rows of scores: room for the vector that the diagonal is in, and for a tile's height of zeros
    /// right of it.
    #[inline(always)]
    fn score_step<S: Simd>(&self) -> usize {
        (self.all() + S::TILE_ROWS).next_multiple_of(S::LANES) + S::LANES
    }
}

#[inline(always)]
fn panel_width<S: Simd>() -> usize {
    S::TILE_VECTORS * S::LANES
}

/// Keys or values as the right side of a product over the head's width: `(head_size, tokens)` in panels of columns, each
/// padded with zeros to whole vectors.
#[allow(clippy::needless_range_loop, reason = "the compiler unrolls plain counted loops whole")]
#[inline(always)]
fn pack_columns<S: Simd>(s: S, rows: Rows<'_>, part: Part, head: usize, to: &mut [f32]) {
    let (size, all) = (rows.shape.head_size, rows.all());
    for first in (0..all).step_by(panel_width::<S>()) {
        let columns = panel_width::<S>().min(all - first);
        let step = columns.next_multiple_of(S::LANES);
        let panel = &mut to[first * size..][..size * step];
        for left in (0..step).step_by(S::LANES) {
            for top in (0..size).step_by(S::LANES) {
                let height = S::LANES.min(size - top);
                let mut block = [s.splat(0.0); MOST_LANES];
                // Counts that don't vary, and conditions inside: unrolled, the block stays in registers.
                for i in 0..S::LANES {
                    if left + i < columns {
                        let values = &rows.seen(part, head, first + left + i)[top..top + height];
                        block[i] = if height == S::LANES { s.load(values) } else { s.load_tail(values) };
                    }
                }
                let block = transpose(s, block);
                for i in 0..S::LANES {
                    if i < height {
                        s.store(&mut panel[(top + i) * step + left..], block[i]);
                    }
                }
            }
        }
    }
}

/// A row of `head_size` as part of the right side of a product over tokens: `(tokens, head_size)` in panels of columns.
#[inline(always)]
fn pack_row<S: Simd>(s: S, values: &[f32], token: usize, tokens: usize, to: &mut [f32]) {
    for first in (0..values.len()).step_by(panel_width::<S>()) {
        let columns = panel_width::<S>().min(values.len() - first);
        let step = columns.next_multiple_of(S::LANES);
        copy_padded(s, &values[first..first + columns], &mut to[first * tokens + token * step..][..step]);
    }
}

/// Scores of `count` rows of `left` with every key up to `limit`, one row of `scores` each.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn scores<S: Simd>(
    s: S,
    left: &[f32],
    left_step: usize,
    packed: &[f32],
    size: usize,
    all: usize,
    limit: usize,
    count: usize,
    scores: &mut [f32],
    score_step: usize,
) {
    for first in (0..limit).step_by(panel_width::<S>()) {
        let b_step = panel_width::<S>().min(all - first).next_multiple_of(S::LANES);
        let tile = Tile {
            a: left,
            a_step: left_step,
            b: &packed[first * size..],
            b_step,
            steps: size,
            c: &mut scores[first..],
            c_step: score_step,
            // Whole vectors: there is room, and it spares masks.
            columns: (limit - first).next_multiple_of(S::LANES).min(b_step),
            start: TileStart::Zero,
        };
        multiply::<S, false, false>(s, count, tile);
    }
}

/// `out = left packed`, where `packed` is (tokens, head_size) in panels.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn weighted_sum<S: Simd, const TRANSPOSED: bool>(
    s: S,
    left: &[f32],
    left_step: usize,
    packed: &[f32],
    tokens: usize,
    range: std::ops::Range<usize>,
    size: usize,
    count: usize,
    out: &mut [f32],
    out_step: usize,
    start: TileStart<'_>,
) {
    for first in (0..size).step_by(panel_width::<S>()) {
        let columns = panel_width::<S>().min(size - first);
        let b_step = columns.next_multiple_of(S::LANES);
        let tile = Tile {
            a: left,
            a_step: left_step,
            b: &packed[first * tokens + range.start * b_step..],
            b_step,
            steps: range.len(),
            c: &mut out[first..],
            c_step: out_step,
            columns,
            start,
        };
        multiply::<S, TRANSPOSED, false>(s, count, tile);
    }
}

/// Zeros from the whole vector `at` on, as far as any tile reads of a row of `visible` scores.
#[inline(always)]
fn clear<S: Simd>(s: S, row: &mut [f32], mut at: usize, visible: usize) {
    while at < visible + S::TILE_ROWS {
        s.store(&mut row[at..], s.splat(0.0));
        at += S::LANES;
    }
}

struct Forward<'a> {
    rows: Rows<'a>,
    out: &'a mut [f32],
    softmax: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl Kernel for Forward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { rows, out, softmax, scratch } = self;
        let AttentionShape { tokens, heads, head_size: size, .. } = rows.shape;
        let (width, all, step) = (rows.shape.width(), rows.all(), rows.score_step::<S>());
        let (_, power) = rows.scales();
        let keys_len = (size * all.next_multiple_of(S::LANES)).next_multiple_of(16);
        let values_len = (all * size.next_multiple_of(S::LANES)).next_multiple_of(16);
        let memory = scratch.floats.at_least(keys_len + values_len + S::TILE_ROWS * step);
        let (keys, memory) = memory.split_at_mut(keys_len);
        let (values, score) = memory.split_at_mut(values_len);
        for head in 0..heads {
            pack_columns(s, rows, Part::Key, head, keys);
            for token in 0..all {
                pack_row(s, rows.seen(Part::Value, head, token), token, all, values);
            }
            let mut first = 0;
            while first < tokens {
                let count = tile_rows::<S>(tokens - first);
                let limit = rows.visible(first + count - 1);
                rows.prefetch(head + 1, first, first + count);
                let queries = &rows.qkv[first * rows.step() + rows.offset(Part::Query, head)..];
                scores(s, queries, rows.step(), keys, size, all, limit, count, score, step);
                // Row by row, but one pass after the other: rows don't wait for each other's sums.
                let kept = &mut softmax[2 * (head * tokens + first)..][..2 * count];
                for (i, kept) in kept.chunks_exact_mut(2).enumerate() {
                    kept[0] = -power * largest(s, &score[i * step..][..step], rows.visible(first + i));
                }
                for (i, kept) in kept.chunks_exact_mut(2).enumerate() {
                    let (row, visible) = (&mut score[i * step..][..step], rows.visible(first + i));
                    let shift = shift_left(s, row, visible, kept[0]);
                    kept[1] = 1.0 / exponentials(s, row, visible, power, shift);
                }
                let out = &mut out[first * width + head * size..];
                weighted_sum::<S, false>(
                    s,
                    score,
                    step,
                    values,
                    all,
                    0..limit,
                    size,
                    count,
                    out,
                    width,
                    TileStart::Zero,
                );
                for (i, kept) in kept.chunks_exact(2).enumerate() {
                    multiply_row(s, &mut out[i * width..][..size], kept[1]);
                }
                first += count;
            }
        }
    }
}

/// The largest of the first `visible` scores.
#[inline(always)]
fn largest<S: Simd>(s: S, row: &[f32], visible: usize) -> f32 {
    let lowest = s.splat(f32::NEG_INFINITY);
    let mut max = lowest;
    let mut at = 0;
    while at + S::LANES <= visible {
        max = s.max(s.load(&row[at..]), max);
        at += S::LANES;
    }
    if at < visible {
        max = s.max(s.keep_first(s.load(&row[at..]), visible - at, lowest), max);
    }
    s.max_lane(max)
}

/// The largest shift of a row that is added to its scores in one rounding with their product.
const LARGEST_SHIFT: f32 = 256.0;

/// The shift that is left to be added to a row's scores. Only where they are huge, as a diverging model's are, the largest
/// is taken from them here. `power * score + shift` keeps the shift's rounding: at worst powers of 2 overflow, and long before,
/// a probability that should be 1 isn't, and its score's gradient, which should be 0, is multiplied by huge queries and keys.
#[inline(always)]
fn shift_left<S: Simd>(s: S, row: &mut [f32], visible: usize, shift: f32) -> f32 {
    if shift.abs() > LARGEST_SHIFT {
        let max = s.splat(largest(s, row, visible));
        let mut at = 0;
        while at < visible {
            let below = s.sub(s.load(&row[at..]), max);
            s.store(&mut row[at..], below);
            at += S::LANES;
        }
        0.0
    } else {
        shift
    }
}

/// Replaces scores by `2^(power * score + shift)`, zeros after the first `visible`; returns the sum.
#[inline(always)]
fn exponentials<S: Simd>(s: S, row: &mut [f32], visible: usize, power: f32, shift: f32) -> f32 {
    let (factor, shift) = (s.splat(power), s.splat(shift));
    let mut sum = s.splat(0.0);
    let mut at = 0;
    while at + S::LANES <= visible {
        let e = exp2(s, s.mul_add(s.load(&row[at..]), factor, shift));
        s.store(&mut row[at..], e);
        sum = s.add(sum, e);
        at += S::LANES;
    }
    if at < visible {
        let e = exp2(s, s.mul_add(s.load(&row[at..]), factor, shift));
        let e = s.keep_first(e, visible - at, s.splat(0.0));
        s.store(&mut row[at..], e);
        sum = s.add(sum, e);
        at += S::LANES;
    }
    clear(s, row, at, visible);
    s.sum(sum)
}

#[inline(always)]
fn multiply_row<S: Simd>(s: S, row: &mut [f32], factor: f32) {
    let factor = s.splat(factor);
    let mut chunks = row.chunks_exact_mut(S::LANES);
    for x in &mut chunks {
        let y = s.mul(s.load(x), factor);
        s.store(x, y);
    }
    let tail = chunks.into_remainder();
    if !tail.is_empty() {
        let y = s.mul(s.load_tail(tail), factor);
        s.store_tail(tail, y);
    }
}

struct Backward<'a> {
    rows: Rows<'a>,
    softmax: &'a [f32],
    dout: &'a [f32],
    dqkv: &'a mut [f32],
    dprefix: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl Kernel for Backward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { rows, softmax, dout, dqkv, dprefix, scratch } = self;
        let AttentionShape { tokens, prefix, heads, head_size: size, causal } = rows.shape;
        let (width, all, step, row_step) =
            (rows.shape.width(), rows.all(), rows.score_step::<S>(), rows.step());
        let (scale, power) = rows.scales();
        let columns_len = (size * all.next_multiple_of(S::LANES)).next_multiple_of(16);
        let rows_len = (all * size.next_multiple_of(S::LANES)).next_multiple_of(16);
        let block_len = (BLOCK.min(tokens) * step).next_multiple_of(16);
        let memory = scratch.floats.at_least(2 * columns_len + 3 * rows_len + 2 * block_len);
        let (key_columns, memory) = memory.split_at_mut(columns_len);
        let (value_columns, memory) = memory.split_at_mut(columns_len);
        let (key_rows, memory) = memory.split_at_mut(rows_len);
        let (query_rows, memory) = memory.split_at_mut(rows_len);
        let (dout_rows, memory) = memory.split_at_mut(rows_len);
        let (probabilities, dscores) = memory.split_at_mut(block_len);
        for head in 0..heads {
            pack_columns(s, rows, Part::Key, head, key_columns);
            pack_columns(s, rows, Part::Value, head, value_columns);
            for token in 0..all {
                pack_row(s, rows.seen(Part::Key, head, token), token, all, key_rows);
            }
            for token in 0..tokens {
                let query = &rows.qkv[token * row_step + rows.offset(Part::Query, head)..][..size];
                pack_row(s, query, token, tokens, query_rows);
                pack_row(s, &dout[token * width + head * size..][..size], token, tokens, dout_rows);
            }
            for top in (0..tokens).step_by(BLOCK) {
                let bottom = tokens.min(top + BLOCK);
                // Queries: probabilities and the scores' gradients of this block, and the queries' gradient.
                let mut first = top;
                while first < bottom {
                    let count = tile_rows::<S>(bottom - first);
                    let limit = rows.visible(first + count - 1);
                    rows.prefetch(head + 1, first, first + count);
                    if head + 1 < heads {
                        for token in first..first + count {
                            prefetch(&dout[token * width + (head + 1) * size..][..size]);
                        }
                    }
                    let queries = &rows.qkv[first * row_step + rows.offset(Part::Query, head)..];
                    let p = &mut probabilities[(first - top) * step..];
                    let d = &mut dscores[(first - top) * step..];
                    scores(s, queries, row_step, key_columns, size, all, limit, count, p, step);
                    let left = &dout[first * width + head * size..];
                    scores(s, left, width, value_columns, size, all, limit, count, d, step);
                    for i in 0..count {
                        let visible = rows.visible(first + i);
                        let (p, d) = (&mut p[i * step..][..step], &mut d[i * step..][..step]);
                        let kept = &softmax[2 * (head * tokens + first + i)..][..2];
                        score_gradient(s, p, d, visible, [scale, power], kept);
                    }
                    let dq = &mut dqkv[first * row_step + rows.offset(Part::Query, head)..];
                    let range = 0..limit;
                    let start = TileStart::Zero;
                    weighted_sum::<S, false>(
                        s, d, step, key_rows, all, range, size, count, dq, row_step, start,
                    );
                    first += count;
                }
                // Keys and values: those of the prefix, and those that earlier blocks have seen, are added to; the others begin here.
                let (old, seen) = match (causal, top) {
                    (true, _) => (top, bottom),
                    (false, 0) => (0, tokens),
                    (false, _) => (tokens, tokens),
                };
                for (part, weights, packed) in
                    [(Part::Key, &*dscores, &*query_rows), (Part::Value, &*probabilities, &*dout_rows)]
                {
                    let at = rows.offset(part, head);
                    for (keys, start) in [
                        (0..prefix, TileStart::Output),
                        (prefix..prefix + old, TileStart::Output),
                        (prefix + old..prefix + seen, TileStart::Zero),
                    ] {
                        let mut key = keys.start;
                        while key < keys.end {
                            let count = tile_rows::<S>(keys.end - key);
                            // The first query that sees the tile's first key.
                            let from = if causal { top.max(key.saturating_sub(prefix)) } else { top };
                            let left = &weights[(from - top) * step + key..];
                            let to = match key.checked_sub(prefix) {
                                None => &mut dprefix[key * row_step + at..],
                                Some(key) => &mut dqkv[key * row_step + at..],
                            };
                            let range = from..bottom;
                            weighted_sum::<S, true>(
                                s, left, step, packed, tokens, range, size, count, to, row_step, start,
                            );
                            key += count;
                        }
                    }
                }
            }
        }
    }
}

/// From a row's scores, what is kept of them and the gradients of its probabilities: its probabilities, and the gradients
/// of its unscaled scores, both 0 after the first `visible`.
#[inline(always)]
fn score_gradient<S: Simd>(
    s: S,
    p: &mut [f32],
    d: &mut [f32],
    visible: usize,
    [scale, power]: [f32; 2],
    kept: &[f32],
) {
    let (scale, power) = (s.splat(scale), s.splat(power));
    let shift = shift_left(s, p, visible, kept[0]);
    let (shift, inverse) = (s.splat(shift), s.splat(kept[1]));
    let mut dot = s.splat(0.0);
    let mut at = 0;
    while at < visible {
        let e = s.mul(exp2(s, s.mul_add(s.load(&p[at..]), power, shift)), inverse);
        let e = if visible - at < S::LANES { s.keep_first(e, visible - at, s.splat(0.0)) } else { e };
        s.store(&mut p[at..], e);
        dot = s.mul_add(e, s.load(&d[at..]), dot);
        at += S::LANES;
    }
    clear(s, p, at, visible);
    let dot = s.splat(s.sum(dot));
    let mut at = 0;
    while at < visible {
        let p = s.mul(s.load(&p[at..]), scale);
        let gradient = s.mul(p, s.sub(s.load(&d[at..]), dot));
        s.store(&mut d[at..], gradient);
        at += S::LANES;
    }
    clear(s, d, at, visible);
}
