//! The three products of a linear layer, and what is fused into them.

use crate::{all_kernels, assert_close, gelu::reference as gelu, values, wide};
use looped_ops::{Isa, Kernels, PackedMatrix, Precision, Scratch, Start};
use proptest::prelude::*;

/// (rows, inner) times (inner, columns).
fn product(a: &[f32], b: &[f32], rows: usize, inner: usize, columns: usize) -> Vec<f64> {
    let mut out = vec![0.0; rows * columns];
    for i in 0..rows {
        for p in 0..inner {
            for j in 0..columns {
                out[i * columns + j] += f64::from(a[i * inner + p]) * f64::from(b[p * columns + j]);
            }
        }
    }
    out
}

/// To nearest, ties to even.
fn round_to_bf16(x: f32) -> f32 {
    let (below, rest) = (x.to_bits() & 0xffff_0000, x.to_bits() & 0xffff);
    let up = rest > 0x8000 || (rest == 0x8000 && below & 0x1_0000 != 0);
    f32::from_bits(if up { below + 0x1_0000 } else { below })
}

fn transpose(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..rows * columns).map(|i| x[(i % rows) * columns + i / rows]).collect()
}

fn sizes() -> impl Strategy<Value = (usize, usize, usize)> {
    // Past one block of rows or steps, and past one panel, now and then.
    (prop_oneof![0..14usize, 90..110usize], prop_oneof![0..40usize, 250..300usize], 0..140usize)
}

/// More rows than are added up at once, inputs past a group, and so many outputs that they are packed: one more than each
/// bound, and far beyond.
#[test]
fn a_weight_gradient_past_every_bound() {
    for (rows, inputs, out) in [(337, 257, 257), (700, 70, 530)] {
        let (x, dy, before) = (values(1, rows * inputs), values(2, rows * out), values(3, out * inputs));
        let want = |x: &[f32], dy: &[f32]| -> Vec<f64> {
            let sum = product(&transpose(dy, rows, out), x, out, rows, inputs);
            sum.iter().zip(wide(&before)).map(|(sum, before)| sum + before).collect()
        };
        let [x16, dy16] = [&x, &dy].map(|x| x.iter().map(|&x| round_to_bf16(x)).collect::<Vec<_>>());
        for (precision, want) in [(Precision::F32, want(&x, &dy)), (Precision::Bf16, want(&x16, &dy16))] {
            for kernels in all_kernels().into_iter().map(|kernels| kernels.with_precision(precision)) {
                let mut dw = before.clone();
                kernels.add_weight_gradient(&dy, &x, rows, &mut dw, &mut Scratch::new());
                assert_close("dw", kernels, &dw, &want, 3e-6);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_linear_layer_forward((rows, inputs, out) in sizes(), seed: u64) {
        let (x, w, bias) = (values(seed, rows * inputs), values(seed ^ 1, out * inputs), values(seed ^ 2, out));
        let residual = values(seed ^ 3, rows * out);
        let plain = product(&x, &transpose(&w, out, inputs), rows, inputs, out);
        for kernels in all_kernels() {
            let packed = PackedMatrix::linear_forward(kernels, &w, out, inputs);
            for start in [Start::Zero, Start::Output, Start::Bias(&bias), Start::BiasResidual(&bias, &residual)] {
                let mut y = residual.clone();
                kernels.matmul(&x, &packed, start, &mut y, &mut Scratch::new());
                let want: Vec<f64> = plain.iter().enumerate().map(|(i, sum)| sum + match start {
                    Start::Zero => 0.0,
                    Start::Output => f64::from(residual[i]),
                    Start::Bias(bias) => f64::from(bias[i % out]),
                    Start::BiasResidual(bias, residual) => f64::from(bias[i % out]) + f64::from(residual[i]),
                }).collect();
                assert_close("forward", kernels, &y, &want, 3e-6);
            }
        }
    }

    #[test]
    fn a_linear_layer_backward((rows, out, inputs) in sizes(), seed: u64) {
        let (dy, w) = (values(seed, rows * out), values(seed ^ 1, out * inputs));
        let want = product(&dy, &w, rows, out, inputs);
        for kernels in all_kernels() {
            let packed = PackedMatrix::linear_backward(kernels, &w, out, inputs);
            let mut dx = vec![f32::NAN; rows * inputs];
            kernels.matmul(&dy, &packed, Start::Zero, &mut dx, &mut Scratch::new());
            assert_close("dx", kernels, &dx, &want, 3e-6);
        }
    }

    #[test]
    fn a_weight_gradient((inputs, rows, out) in sizes(), seed: u64) {
        let (dy, x, before) = (values(seed, rows * out), values(seed ^ 1, rows * inputs), values(seed ^ 2, out * inputs));
        let sum = product(&transpose(&dy, rows, out), &x, out, rows, inputs);
        let want: Vec<f64> = sum.iter().zip(wide(&before)).map(|(sum, before)| sum + before).collect();
        for kernels in all_kernels() {
            let mut dw = before.clone();
            kernels.add_weight_gradient(&dy, &x, rows, &mut dw, &mut Scratch::new());
            assert_close("dw", kernels, &dw, &want, 3e-6);
        }
    }

    #[test]
    fn gelu_fused_into_products((rows, inputs, out) in sizes(), seed: u64) {
        let (x, w, bias) = (values(seed, rows * inputs), values(seed ^ 1, out * inputs), values(seed ^ 2, out));
        let sum = product(&x, &transpose(&w, out, inputs), rows, inputs, out);
        let pre: Vec<f64> = sum.iter().enumerate().map(|(i, sum)| sum + f64::from(bias[i % out])).collect();
        let act: Vec<f64> = pre.iter().map(|&x| gelu(x).0).collect();
        for kernels in all_kernels() {
            let packed = PackedMatrix::linear_forward(kernels, &w, out, inputs);
            let (mut got_pre, mut got_act) = (vec![f32::NAN; rows * out], vec![f32::NAN; rows * out]);
            kernels.matmul_gelu(&x, &packed, &bias, &mut got_pre, &mut got_act, &mut Scratch::new());
            assert_close("pre", kernels, &got_pre, &pre, 3e-6);
            assert_close("act", kernels, &got_act, &act, 4e-6);
            let mut only = vec![f32::NAN; rows * out];
            kernels.matmul_gelu_only(&x, &packed, &bias, &mut only, &mut Scratch::new());
            prop_assert_eq!(&only, &got_act);

            let before = got_pre.clone();
            let mut grad = vec![f32::NAN; rows * out];
            kernels.matmul_gelu_backward(&x, &packed, &mut got_pre, &mut grad, &mut Scratch::new());
            let want: Vec<f64> = sum.iter().zip(&before).map(|(d, &pre)| d * gelu(f64::from(pre)).1).collect();
            assert_close("gradient", kernels, &grad, &want, 4e-6);
            prop_assert_eq!(&got_pre, &got_act);
        }
    }

    #[test]
    fn products_in_bf16((rows, inputs, out) in sizes(), seed: u64) {
        let (x, w, dy) = (values(seed, rows * inputs), values(seed ^ 1, out * inputs), values(seed ^ 2, rows * out));
        let before = values(seed ^ 3, out * inputs);
        let [x16, w16, dy16] = [&x, &w, &dy].map(|x| x.iter().map(|&x| round_to_bf16(x)).collect::<Vec<_>>());
        let y_want = product(&x16, &transpose(&w16, out, inputs), rows, inputs, out);
        let dx_want = product(&dy16, &w16, rows, out, inputs);
        let dw_want: Vec<f64> = product(&transpose(&dy16, rows, out), &x16, out, rows, inputs)
            .iter().zip(wide(&before)).map(|(sum, before)| sum + before).collect();
        let mut scratch = Scratch::new();
        for kernels in all_kernels().into_iter().map(|kernels| kernels.with_precision(Precision::Bf16)) {
            let packed = PackedMatrix::linear_forward(kernels, &w, out, inputs);
            let mut y = vec![f32::NAN; rows * out];
            kernels.matmul(&x, &packed, Start::Zero, &mut y, &mut scratch);
            assert_close("y", kernels, &y, &y_want, 3e-6);
            let packed = PackedMatrix::linear_backward(kernels, &w, out, inputs);
            let mut dx = vec![f32::NAN; rows * inputs];
            kernels.matmul(&dy, &packed, Start::Zero, &mut dx, &mut scratch);
            assert_close("dx", kernels, &dx, &dx_want, 3e-6);
            let mut dw = before.clone();
            kernels.add_weight_gradient(&dy, &x, rows, &mut dw, &mut scratch);
            assert_close("dw", kernels, &dw, &dw_want, 3e-6);
        }
    }

    #[test]
    fn column_sums(rows in 0..30usize, columns in 0..40usize, seed: u64) {
        let x = values(seed, rows * columns);
        let before = values(seed ^ 1, columns);
        let mut want = wide(&before);
        for (i, x) in x.iter().enumerate() {
            want[i % columns] += f64::from(*x);
        }
        for kernels in all_kernels() {
            let mut sums = before.clone();
            kernels.add_column_sums(&x, &mut sums);
            assert_close("sums", kernels, &sums, &want, 2e-6);
        }
    }

    #[test]
    fn elementwise(len in 0..70usize, factor in -2.0..2.0f32, seed: u64) {
        let (a, b, c) = (values(seed, len), values(seed ^ 1, len), values(seed ^ 2, len));
        for kernels in all_kernels() {
            let check = |what, got: &[f32], want: fn(f64, f64, f64, f64) -> f64| {
                let (a, b, c) = (wide(&a), wide(&b), wide(&c));
                let want: Vec<f64> = (0..len).map(|i| want(a[i], b[i], c[i], f64::from(factor))).collect();
                assert_close(what, kernels, got, &want, 2e-7);
            };
            let mut out = c.clone();
            kernels.add(&a, &mut out);
            check("add", &out, |a, _, c, _| c + a);
            let mut out = c.clone();
            kernels.multiply(&a, &mut out);
            check("multiply", &out, |a, _, c, _| c * a);
            let mut out = c.clone();
            kernels.add_scaled(factor, &a, &mut out);
            check("add_scaled", &out, |a, _, c, f| c + f * a);
            let mut out = c.clone();
            kernels.add_product(&a, &b, &mut out);
            check("add_product", &out, |a, b, c, _| c + a * b);
        }
    }

    #[test]
    fn rows_that_lie_apart_are_added(rows in 0..5usize, width in 1..40usize, between in 0..9usize, seed: u64) {
        let step = width + between;
        let (x, before) = (values(seed, rows * step), values(seed ^ 1, rows * width));
        let at = |i: usize| f64::from(before[i]) + f64::from(x[i / width * step + i % width]);
        let want: Vec<f64> = (0..rows * width).map(at).collect();
        for kernels in all_kernels() {
            let mut out = before.clone();
            // What follows the last row needn't be there.
            kernels.add_rows(&x[..x.len() - between.min(x.len())], step, &mut out, width);
            assert_close("add_rows", kernels, &out, &want, 2e-7);
        }
    }
}

#[test]
#[should_panic(expected = "packed for")]
fn a_matrix_packed_for_another_instruction_set_is_refused() {
    let portable = Kernels::for_isa(Isa::Portable).expect("always there");
    let best = Kernels::best();
    assert_ne!(portable, best, "packed for: nothing to test on this machine");
    best.matmul(
        &[1.0],
        &PackedMatrix::linear_forward(portable, &[1.0], 1, 1),
        Start::Zero,
        &mut [0.0],
        &mut Scratch::new(),
    );
}

#[test]
#[should_panic(expected = "left side")]
fn a_left_side_of_another_size_is_refused() {
    let kernels = Kernels::best();
    kernels.matmul(
        &[1.0; 3],
        &PackedMatrix::zeros(kernels, 2, 2),
        Start::Zero,
        &mut [0.0; 4],
        &mut Scratch::new(),
    );
}
