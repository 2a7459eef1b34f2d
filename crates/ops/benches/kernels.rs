//! Everything but the products, at the shapes of a training step: `cargo bench -p looped-ops --bench kernels`.
#![allow(missing_docs)] // criterion's macros

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use looped_ops::{
    AlignedBuffer, AttentionShape, Kernels, Operand, PackedMatrix, Place, PointCode, PointFunc, PointResult,
    PointStep, Scratch, Start,
};
use std::time::Duration;

/// 8 sequences of 81 tokens.
const ROWS: usize = 648;
const WIDTH: usize = 256;

fn matrix(len: usize) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::zeros(len);
    for (i, x) in buffer.iter_mut().enumerate() {
        *x = (i.wrapping_mul(2_654_435_761) >> 7 & 0xffff) as f32 / 32768.0 - 1.0;
    }
    buffer
}

/// One sequence, as tokens + prefix, heads x head size.
fn attention(criterion: &mut Criterion) {
    let kernels = Kernels::best();
    let mut scratch = Scratch::new();
    for (tokens, prefix, heads, head_size) in
        [(81, 0, 8, 32), (81, 0, 4, 16), (20, 61, 8, 32), (201, 0, 8, 32)]
    {
        let shape = AttentionShape { tokens, causal: true, prefix, heads, head_size };
        let width = heads * head_size;
        let (qkv, prefix_qkv) = (matrix(tokens * 3 * width), matrix(prefix * 3 * width));
        let (mut out, mut softmax) = (matrix(tokens * width), matrix(shape.kept()));
        let (dout, mut dqkv, mut dprefix) = (matrix(tokens * width), qkv.clone(), prefix_qkv.clone());
        let mut group =
            criterion.benchmark_group(format!("attention {tokens}+{prefix}, {heads}x{head_size}"));
        group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(400));
        group.bench_function("forward", |bencher| {
            bencher
                .iter(|| kernels.attention(shape, &qkv, &prefix_qkv, &mut out, &mut softmax, &mut scratch));
        });
        group.bench_function("backward", |bencher| {
            bencher.iter(|| {
                kernels.attention_backward(
                    shape,
                    &qkv,
                    &prefix_qkv,
                    &softmax,
                    &dout,
                    &mut dqkv,
                    &mut dprefix,
                    &mut scratch,
                );
            });
        });
        group.finish();
    }
}

fn pointwise(criterion: &mut Criterion) {
    let kernels = Kernels::best();
    let mut scratch = Scratch::new();
    let (x, weight) = (matrix(ROWS * WIDTH), matrix(WIDTH));
    let (mut y, mut mean, mut inverse_std) = (matrix(ROWS * WIDTH), matrix(ROWS), matrix(ROWS));
    let (mut dx, mut dweight, mut dbias) = (matrix(ROWS * WIDTH), matrix(WIDTH), matrix(WIDTH));
    let mut group = criterion.benchmark_group("648 rows of 256");
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(400));
    group.bench_function("layer norm forward", |bencher| {
        bencher.iter(|| kernels.layer_norm(&x, &weight, &weight, &mut y, &mut mean, &mut inverse_std));
    });
    group.bench_function("layer norm backward", |bencher| {
        bencher.iter(|| {
            kernels.layer_norm_backward(
                &y,
                &x,
                &mean,
                &inverse_std,
                &weight,
                &mut dx,
                true,
                &mut dweight,
                &mut dbias,
            );
        });
    });
    group.bench_function("column sums", |bencher| bencher.iter(|| kernels.add_column_sums(&x, &mut dbias)));

    let (gates, mut c, mut h) = (matrix(ROWS * 4 * WIDTH), matrix(ROWS * WIDTH), matrix(ROWS * WIDTH));
    let cell = lstm_cell();
    group.bench_function("lstm cell", |bencher| {
        bencher.iter_batched_ref(
            || gates.clone(),
            |gates| {
                let mut operands = [
                    Operand::Write(gates),
                    Operand::Read(&x),
                    Operand::Write(&mut c),
                    Operand::Write(&mut h),
                ];
                kernels.point(&cell, ROWS, 0, &mut operands);
            },
            BatchSize::LargeInput,
        );
    });

    let (mut pre, mut act) = (gates.clone(), gates.clone());
    group.bench_function("gelu forward, 4 wide", |bencher| bencher.iter(|| kernels.gelu(&gates, &mut act)));
    group.bench_function("gelu backward, 4 wide", |bencher| {
        bencher.iter_batched_ref(
            || gates.clone(),
            |pre| kernels.gelu_backward(pre, &mut act),
            BatchSize::LargeInput,
        );
    });
    let mut w = matrix(4 * WIDTH * WIDTH);
    w.iter_mut().for_each(|w| *w *= 0.1);
    let bias = matrix(4 * WIDTH);
    let forward = PackedMatrix::linear_forward(kernels, &w, 4 * WIDTH, WIDTH);
    let backward = PackedMatrix::linear_backward(kernels, &w, WIDTH, 4 * WIDTH);
    group.bench_function("256 to 1024 with bias", |bencher| {
        bencher.iter(|| kernels.matmul(&x, &forward, Start::Bias(&bias), &mut act, &mut scratch));
    });
    group.bench_function("256 to 1024 with bias and gelu", |bencher| {
        bencher.iter(|| kernels.matmul_gelu(&x, &forward, &bias, &mut pre, &mut act, &mut scratch));
    });
    group.bench_function("256 to 1024 with gelu's gradient", |bencher| {
        bencher.iter_batched_ref(
            || gates.clone(),
            |pre| kernels.matmul_gelu_backward(&x, &backward, pre, &mut act, &mut scratch),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("packing 1024 by 256 for both passes", |bencher| {
        let (mut forward, mut backward) = (forward.clone(), backward.clone());
        bencher.iter(|| {
            forward.pack_transposed(&w);
            backward.pack(&w);
        });
    });
    group.finish();
}

/// The elementwise half of an LSTM's cell.
fn lstm_cell() -> PointCode {
    use PointFunc::{Add, Mul, Sigmoid, Tanh};
    use PointStep::{Apply, Input};
    let gate = |i: usize| Place { operand: 0, column: i * WIDTH, stride: 4 * WIDTH, block: None };
    let state = |operand| Place { operand, column: 0, stride: WIDTH, block: None };
    let gates = [Apply(Sigmoid, 0, 0), Apply(Sigmoid, 1, 1), Apply(Tanh, 2, 2), Apply(Sigmoid, 3, 3)];
    let cell =
        [Apply(Mul, 6, 4), Apply(Mul, 5, 7), Apply(Add, 9, 10), Apply(Tanh, 11, 11), Apply(Mul, 8, 12)];
    let steps: Vec<PointStep> = (0..5).map(Input).chain(gates).chain(cell).collect();
    let set = |value, place| PointResult { value, place, add: false };
    let gates_back = (0..4).map(|i| set(5 + i, gate(i)));
    let results: Vec<PointResult> = gates_back.chain([set(11, state(2)), set(13, state(3))]).collect();
    PointCode::new(WIDTH, &steps, &[gate(0), gate(1), gate(2), gate(3), state(1)], &results)
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = attention, pointwise }
criterion_main!(benches);
