//! The small kernels: rows that are moved, dot products, scalar functions, scans.

use std::ops::Range;

use looped_graph::lower::{Chunk, ScanOf};
use looped_ops::{Diagonal, DiagonalGradients, Kernels};

use crate::weights::Weights;

/// The rows of all tokens, or the read ones of them if `picks`.
pub(crate) fn rows(chunk: &Chunk, picks: bool) -> impl Iterator<Item = usize> + use<'_> {
    let count = if picks { chunk.read_rows() } else { usize::MAX };
    let each = chunk.reads.len().max(1);
    (0..count).map(move |i| if picks { i / each * chunk.tokens + chunk.reads[i % each] } else { i })
}

pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    // Sixteen sums that don't wait for each other.
    let mut sums = [0.0f32; 16];
    let (mut a, mut b) = (a.chunks_exact(16), b.chunks_exact(16));
    for (a, b) in (&mut a).zip(&mut b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let tail: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + tail
}

/// The part of prompt `i` of each slice, in which all prompts have equal parts.
pub(crate) fn each<const N: usize>(i: usize, count: usize, all: [&mut [f32]; N]) -> [&mut [f32]; N] {
    all.map(|slice| {
        let len = slice.len() / count;
        &mut slice[i * len..(i + 1) * len]
    })
}

/// The columns of a table, (width, entries), at the tokens' numbers: out is (tokens, width).
///
/// All tokens pass over a row of the table before the next: it is near then, and a large vocabulary's rows are pages apart.
pub(crate) fn lookup(table: &[f32], numbers: &[f32], out: &mut [f32]) {
    let width = out.len() / numbers.len().max(1);
    let entries = table.len() / width.max(1);
    for (column, row) in table.chunks_exact(entries.max(1)).enumerate() {
        for (number, out) in numbers.iter().zip(out[column..].iter_mut().step_by(width)) {
            *out = row[*number as usize];
        }
    }
}

/// Adds the rows of d, (tokens, width), to the table's columns at the tokens' numbers.
pub(crate) fn lookup_back(dtable: &mut [f32], numbers: &[f32], d: &[f32]) {
    let width = d.len() / numbers.len().max(1);
    let entries = dtable.len() / width.max(1);
    for (column, drow) in dtable.chunks_exact_mut(entries.max(1)).enumerate() {
        for (number, d) in numbers.iter().zip(d[column..].iter().step_by(width)) {
            drow[*number as usize] += d;
        }
    }
}

pub(crate) fn gather(chunk: &Chunk, x: &[f32], out: &mut [f32]) {
    let width = x.len() / chunk.rows().max(1);
    for (row, out) in rows(chunk, true).zip(out.chunks_exact_mut(width.max(1))) {
        out.copy_from_slice(&x[row * width..][..width]);
    }
}

/// Columns of x from `start` on, as wide as a row of out.
pub(crate) fn take_columns(of: usize, start: usize, add: bool, x: &[f32], out: &mut [f32]) {
    let (of_x, of_out) = (of, out.len() * of / x.len().max(1));
    for (x, out) in x.chunks_exact(of_x.max(1)).zip(out.chunks_exact_mut(of_out.max(1))) {
        let x = &x[start..start + of_out];
        if add {
            out.iter_mut().zip(x).for_each(|(out, x)| *out += x);
        } else {
            out.copy_from_slice(x);
        }
    }
}

/// Columns of out from `start` on, as wide as a row of x.
pub(crate) fn put_columns(of: usize, start: usize, add: bool, x: &[f32], out: &mut [f32]) {
    let (of_x, of_out) = (x.len() * of / out.len().max(1), of);
    for (x, out) in x.chunks_exact(of_x.max(1)).zip(out.chunks_exact_mut(of_out.max(1))) {
        let out = &mut out[start..start + of_x];
        if add {
            out.iter_mut().zip(x).for_each(|(out, x)| *out += x);
        } else {
            out.copy_from_slice(x);
        }
    }
}

pub(crate) fn scatter(chunk: &Chunk, add: bool, x: &[f32], out: &mut [f32]) {
    let width = out.len() / chunk.rows().max(1);
    if !add {
        out.fill(0.0);
    }
    for (row, x) in rows(chunk, true).zip(x.chunks_exact(width.max(1))) {
        let out = &mut out[row * width..][..width];
        if add {
            out.iter_mut().zip(x).for_each(|(out, x)| *out += x);
        } else {
            out.copy_from_slice(x);
        }
    }
}

/// The numbers of a prompt's kept tokens.
fn kept(chunk: &Chunk, from: usize, to: usize, len: usize) -> (usize, Range<usize>) {
    let width = len / chunk.rows().max(1);
    (chunk.tokens * width, from * width..to * width)
}

pub(crate) fn keep(chunk: &Chunk, from: usize, to: usize, lost: f32, x: &[f32], out: &mut [f32]) {
    let (each, kept) = kept(chunk, from, to, out.len());
    out.fill(lost);
    for (x, out) in x.chunks_exact(each.max(1)).zip(out.chunks_exact_mut(each.max(1))) {
        out[kept.clone()].copy_from_slice(&x[kept.clone()]);
    }
}

pub(crate) fn lose(chunk: &Chunk, from: usize, to: usize, d: &mut [f32]) {
    let (each, kept) = kept(chunk, from, to, d.len());
    for d in d.chunks_exact_mut(each.max(1)) {
        d[..kept.start].fill(0.0);
        d[kept.end..].fill(0.0);
    }
}

/// x, earlier rows, out, x's last rows: the last `by` of a prompt's, or all if there are fewer.
pub(crate) fn shift(k: Kernels, chunk: &Chunk, by: usize, places: [&mut [f32]; 4]) {
    let [x, before, out, last] = places;
    let width = x.len() / chunk.rows().max(1);
    for i in 0..chunk.sequences {
        let [x, before, out, last] = each(i, chunk.sequences, [x, before, out, last]);
        k.shift(by * width, x, before, out);
        last.copy_from_slice(&x[x.len() - last.len()..]);
    }
}

/// dout, d(last), dx, d(earlier rows).
pub(crate) fn shift_back(k: Kernels, chunk: &Chunk, by: usize, add: bool, places: [&mut [f32]; 4]) {
    let [dout, dlast, dx, dbefore] = places;
    let width = dout.len() / chunk.rows().max(1);
    for i in 0..chunk.sequences {
        let [dout, dlast, dx, dbefore] = each(i, chunk.sequences, [dout, dlast, dx, dbefore]);
        k.shift_backward(by * width, dout, dx, add, dbefore);
        let first = dx.len() - dlast.len();
        k.add(dlast, &mut dx[first..]);
    }
}

fn system<'w>(weights: &'w Weights<'_>, of: ScanOf) -> Diagonal<'w> {
    let [decay, gain, read, skip] = of.system.map(|shared| &weights.flat[weights.layout.shared(shared, 0)]);
    Diagonal { decay, gain, read, skip }
}

/// The states of one prompt, from those before its first token on.
fn scan_one(weights: &Weights<'_>, of: ScanOf, before: &[f32], x: &[f32], states: &mut [f32], y: &mut [f32]) {
    let first = &mut states[..of.states];
    if of.prefix {
        first.copy_from_slice(before);
    } else {
        first.fill(0.0);
    }
    weights.exact.scan(system(weights, of), x, states, y);
}

pub(crate) fn scan(weights: &Weights<'_>, of: ScanOf, chunk: &Chunk, places: [&mut [f32]; 5]) {
    let [x, before, out, last, states] = places;
    for i in 0..chunk.sequences {
        let [x, before, out, last] = each(i, chunk.sequences, [x, before, out, last]);
        scan_one(weights, of, before, x, states, out);
        if !last.is_empty() {
            last.copy_from_slice(&states[chunk.tokens * of.states..]);
        }
    }
}

pub(crate) fn scan_back(
    weights: &Weights<'_>,
    of: ScanOf,
    chunk: &Chunk,
    places: [&mut [f32]; 6],
    grads: &mut [f32],
) {
    let [x, before, dlast, dy, dbefore, scratch] = places;
    let (states, rest) = scratch.split_at_mut((chunk.tokens + 1) * of.states);
    let (dstate, rest) = rest.split_at_mut(of.states);
    let again = &mut rest[..chunk.tokens * of.width];
    let parts = of.system.map(|shared| weights.layout.shared(shared, 0));
    let mut back = |[decay, gain, read, skip]: [&mut [f32]; 4]| {
        for i in 0..chunk.sequences {
            let [x, before, dlast, dy, dbefore] = each(i, chunk.sequences, [x, before, dlast, dy, dbefore]);
            scan_one(weights, of, before, x, states, again);
            if dlast.is_empty() {
                dstate.fill(0.0);
            } else {
                dstate.copy_from_slice(dlast);
            }
            let gradients = DiagonalGradients {
                decay: &mut *decay,
                gain: &mut *gain,
                read: &mut *read,
                skip: &mut *skip,
            };
            weights.exact.scan_backward(system(weights, of), x, states, dy, dstate, gradients);
            if of.prefix {
                weights.exact.add(dstate, dbefore);
            }
        }
    };
    if let Ok(parts) = grads.get_disjoint_mut(parts.clone()) {
        return back(parts);
    }
    // One parameter is several of the numbers, and gets the sum of their gradients.
    let mut apart = parts.clone().map(|part| vec![0.0; part.len()]);
    back(apart.each_mut().map(Vec::as_mut_slice));
    for (part, gradient) in parts.into_iter().zip(apart) {
        weights.exact.add(&gradient, &mut grads[part]);
    }
}
