//! The small kernels: rows that are moved, dot products, scalar functions, scans.

use std::ops::Range;

use looped_graph::lower::{Chunk, Place, PointOf, ScanOf};
use looped_graph::ops::Func;
use looped_ops::{Diagonal, DiagonalGradients};

use crate::memory::Memory;
use crate::weights::Weights;

/// The rows of all tokens, or the read ones of them if `picks`.
pub(crate) fn rows(chunk: &Chunk, picks: bool) -> impl Iterator<Item = usize> + use<'_> {
    let count = if picks { chunk.read_rows() } else { usize::MAX };
    let each = chunk.reads.len().max(1);
    (0..count).map(move |i| if picks { i / each * chunk.tokens + chunk.reads[i % each] } else { i })
}

/// How many rows of dy and x give a weight's gradient: dy has (rows, out), x has (rows, inputs), the weight (out, inputs).
pub(crate) fn rows_of_gradient(weight: usize, dy: usize, x: usize) -> usize {
    if weight == 0 { 0 } else { ((dy as f64 * x as f64) / weight as f64).sqrt().round() as usize }
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

pub(crate) fn gather(chunk: &Chunk, x: &[f32], out: &mut [f32]) {
    let width = x.len() / chunk.rows().max(1);
    for (row, out) in rows(chunk, true).zip(out.chunks_exact_mut(width.max(1))) {
        out.copy_from_slice(&x[row * width..][..width]);
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

/// The operands of a scalar function and its result; the second operand is empty where there is none, or where it is one row.
pub(crate) fn operands<'m>(memory: &'m mut Memory, places: &[Place], slot: usize) -> [&'m mut [f32]; 3] {
    match *places {
        [a, out] => memory.at([a, Place::NONE, out], slot),
        [a, b, out] if a == b => {
            let [a, _, out] = memory.at([a, Place::NONE, out], slot);
            [a, &mut [], out]
        }
        [a, b, out] => memory.at([a, b, out], slot),
        _ => unreachable!("a scalar function has one or two operands"),
    }
}

/// An operand's row for one of all rows.
struct Operand<'a> {
    all: &'a [f32],
    one: Option<&'a [f32]>,
}

impl Operand<'_> {
    fn row(&self, i: usize, width: usize) -> &[f32] {
        self.one.unwrap_or_else(|| &self.all[i * width..][..width])
    }
}

pub(crate) fn point(weights: &Weights<'_>, of: PointOf, a: &[f32], b: &[f32], out: &mut [f32]) {
    let k = weights.exact;
    match (of.func, of.shared, b.is_empty()) {
        (Func::Add, [None, None], false) => {
            out.copy_from_slice(a);
            return k.add(b, out);
        }
        (Func::Mul, [None, None], false) => {
            out.copy_from_slice(a);
            return k.multiply(b, out);
        }
        (Func::Gelu, [None, None], _) => return k.gelu(a, out),
        _ => {}
    }
    let one = |i: usize| of.shared[i].map(|shared| &weights.flat[weights.layout.shared(shared)]);
    let a = Operand { all: a, one: one(0) };
    let b = Operand { all: if b.is_empty() { a.all } else { b }, one: one(1) };
    for (i, out) in out.chunks_exact_mut(of.width.max(1)).enumerate() {
        for ((out, a), b) in out.iter_mut().zip(a.row(i, of.width)).zip(b.row(i, of.width)) {
            *out = value(of.func, *a, *b);
        }
    }
}

pub(crate) fn point_back(
    memory: &mut Memory,
    weights: &Weights<'_>,
    of: PointOf,
    d: Place,
    rest: &[Place],
    slot: usize,
) {
    let (d, [a, b, dx]) = match *rest {
        [a, dx] => {
            let [d, a, dx] = memory.at([d, a, dx], slot);
            (d, [a, &mut [][..], dx])
        }
        [a, b, dx] if a == b => {
            let [d, a, dx] = memory.at([d, a, dx], slot);
            (d, [a, &mut [][..], dx])
        }
        [a, b, dx] => {
            let [d, a, b, dx] = memory.at([d, a, b, dx], slot);
            (d, [a, b, dx])
        }
        _ => unreachable!("a scalar function has one or two operands"),
    };
    let k = weights.exact;
    if let (Func::Mul, [None, None], false) = (of.func, of.shared, b.is_empty()) {
        let other = if of.operand == 0 { b } else { a };
        if of.add {
            return k.add_product(d, other, dx);
        }
        dx.copy_from_slice(d);
        return k.multiply(other, dx);
    }
    let one = |i: usize| of.shared[i].map(|shared| &weights.flat[weights.layout.shared(shared)]);
    let a = Operand { all: a, one: one(0) };
    let b = Operand { all: if b.is_empty() { a.all } else { b }, one: one(1) };
    for (i, (dx, d)) in dx.chunks_exact_mut(of.width.max(1)).zip(d.chunks_exact(of.width.max(1))).enumerate()
    {
        for (((dx, d), a), b) in dx.iter_mut().zip(d).zip(a.row(i, of.width)).zip(b.row(i, of.width)) {
            let slope = d * slope(of.func, of.operand, *a, *b);
            *dx = if of.add { *dx + slope } else { slope };
        }
    }
}

fn value(func: Func, a: f32, b: f32) -> f32 {
    match func {
        Func::Add => a + b,
        Func::Sub => a - b,
        Func::Mul => a * b,
        Func::Div => a / b,
        Func::Scale(c) => c * a,
        Func::Offset(c) => a + c,
        Func::Exp => a.exp(),
        Func::Log => a.ln(),
        Func::Sqrt => a.sqrt(),
        Func::Relu => a.max(0.0),
        Func::Tanh => a.tanh(),
        Func::Sigmoid => 1.0 / (1.0 + (-a).exp()),
        Func::Gelu => 0.5 * a * (1.0 + gelu_inner(a).tanh()),
    }
}

fn gelu_inner(a: f32) -> f32 {
    0.797_884_6 * (a + 0.044_715 * a * a * a)
}

/// The slope of a function with respect to one of its operands.
fn slope(func: Func, operand: usize, a: f32, b: f32) -> f32 {
    match (func, operand) {
        (Func::Add, _) | (Func::Sub, 0) | (Func::Offset(_), _) => 1.0,
        (Func::Sub, _) => -1.0,
        (Func::Mul, 0) => b,
        (Func::Mul, _) => a,
        (Func::Div, 0) => 1.0 / b,
        (Func::Div, _) => -a / (b * b),
        (Func::Scale(c), _) => c,
        (Func::Exp, _) => a.exp(),
        (Func::Log, _) => 1.0 / a,
        (Func::Sqrt, _) => 0.5 / a.sqrt(),
        (Func::Relu, _) => f32::from(u8::from(a > 0.0)),
        (Func::Tanh, _) => 1.0 - a.tanh().powi(2),
        (Func::Sigmoid, _) => {
            let y = value(Func::Sigmoid, a, b);
            y * (1.0 - y)
        }
        (Func::Gelu, _) => {
            let t = gelu_inner(a).tanh();
            0.5 * (1.0 + t) + 0.5 * a * (1.0 - t * t) * 0.797_884_6 * (1.0 + 3.0 * 0.044_715 * a * a)
        }
    }
}

fn system<'w>(weights: &'w Weights<'_>, of: ScanOf) -> Diagonal<'w> {
    let [decay, gain, read, skip] = of.system.map(|shared| &weights.flat[weights.layout.shared(shared)]);
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
    let parts = of.system.map(|shared| weights.layout.shared(shared));
    let [decay, gain, read, skip] = match grads.get_disjoint_mut(parts) {
        Ok(parts) => parts,
        Err(error) => unreachable!("the numbers of a scan don't overlap: {error}"),
    };
    for i in 0..chunk.sequences {
        let [x, before, dlast, dy, dbefore] = each(i, chunk.sequences, [x, before, dlast, dy, dbefore]);
        scan_one(weights, of, before, x, states, again);
        if dlast.is_empty() {
            dstate.fill(0.0);
        } else {
            dstate.copy_from_slice(dlast);
        }
        let gradients = DiagonalGradients { decay, gain, read, skip };
        weights.exact.scan_backward(system(weights, of), x, states, dy, dstate, gradients);
        if of.prefix {
            weights.exact.add(dstate, dbefore);
        }
    }
}
