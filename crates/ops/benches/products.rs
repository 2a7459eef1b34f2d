//! The three products of a linear layer at the shapes of a training step, in both precisions, beside the `gemm` crate:
//! `cargo bench -p looped-ops --bench products`. Throughput is in floating-point operations, so "Gelem/s" is GFLOP/s.
#![allow(missing_docs)] // criterion's macros
#![allow(unsafe_code)] // the `gemm` crate takes pointers

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use looped_ops::{AlignedBuffer, Kernels, PackedMatrix, Precision, Scratch, Start};
use std::time::Duration;

/// Rows, inputs, outputs: 8 sequences of 81 tokens through the layers of width 256 and 64, one time step of an LSTM over
/// 16 sequences, and an odd one.
const SHAPES: [(usize, usize, usize); 9] = [
    (648, 256, 256),
    (648, 256, 768),
    (648, 256, 1024),
    (648, 1024, 256),
    (648, 64, 64),
    (648, 64, 192),
    (648, 64, 256),
    (16, 256, 1024),
    (647, 100, 75),
];

fn matrix(len: usize) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::zeros(len);
    for (i, x) in buffer.iter_mut().enumerate() {
        *x = (i * 37 % 101) as f32 / 50.5 - 1.0;
    }
    buffer
}

/// A matrix as the `gemm` crate takes it: where it is, from a column to the next, from a row to the next.
type Strided = (*const f32, isize, isize);

/// `out (m, n) = a (m, k) b (k, n)`, added to `out` if `add`.
fn peer((m, k, n): (usize, usize, usize), a: Strided, b: Strided, out: &mut [f32], add: bool) {
    assert_eq!(out.len(), m * n);
    // SAFETY: the callers pass whole matrices of these sizes with their own strides.
    unsafe {
        let parallel = gemm::Parallelism::None;
        let (alpha, beta) = (1.0, 1.0);
        let to = out.as_mut_ptr();
        let (no, step) = (false, n as isize);
        gemm::gemm(
            m, n, k, to, 1, step, add, a.0, a.1, a.2, b.0, b.1, b.2, alpha, beta, no, no, no, parallel,
        );
    }
}

fn products(criterion: &mut Criterion) {
    let mut scratch = Scratch::new();
    for (rows, inputs, out) in SHAPES {
        let (x, w, dy, bias) = (matrix(rows * inputs), matrix(out * inputs), matrix(rows * out), matrix(out));
        let (mut y, mut dx, mut dw) = (matrix(rows * out), matrix(rows * inputs), matrix(out * inputs));
        let mut group = criterion.benchmark_group(format!("{rows}x{inputs}x{out}"));
        group.throughput(Throughput::Elements((2 * rows * inputs * out) as u64));
        group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(400));
        for precision in [Precision::F32, Precision::Bf16] {
            let kernels = Kernels::best().with_precision(precision);
            let forward = PackedMatrix::linear_forward(kernels, &w, out, inputs);
            let backward = PackedMatrix::linear_backward(kernels, &w, out, inputs);
            group.bench_function(BenchmarkId::new("forward", format!("{precision:?}")), |bencher| {
                bencher.iter(|| kernels.matmul(&x, &forward, Start::Bias(&bias), &mut y, &mut scratch));
            });
            group.bench_function(BenchmarkId::new("dx", format!("{precision:?}")), |bencher| {
                bencher.iter(|| kernels.matmul(&dy, &backward, Start::Zero, &mut dx, &mut scratch));
            });
            group.bench_function(BenchmarkId::new("dw", format!("{precision:?}")), |bencher| {
                bencher.iter(|| kernels.add_weight_gradient(&dy, &x, rows, &mut dw, &mut scratch));
            });
        }
        let (x, w, dy) = (x.as_ptr(), w.as_ptr(), dy.as_ptr());
        let (i, o) = (inputs as isize, out as isize);
        group.bench_function("forward/gemm crate", |bencher| {
            bencher.iter(|| peer((rows, inputs, out), (x, 1, i), (w, i, 1), &mut y, false));
        });
        group.bench_function("dx/gemm crate", |bencher| {
            bencher.iter(|| peer((rows, out, inputs), (dy, 1, o), (w, 1, i), &mut dx, false));
        });
        group.bench_function("dw/gemm crate", |bencher| {
            bencher.iter(|| peer((out, rows, inputs), (dy, o, 1), (x, 1, i), &mut dw, true));
        });
        group.finish();
    }
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = products }
criterion_main!(benches);
