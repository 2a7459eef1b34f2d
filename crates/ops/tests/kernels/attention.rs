//! Attention against `f64`, causal and to all tokens, with and without a prefix.

use crate::{all_kernels, assert_close, values, wide};
use looped_ops::{AttentionShape, Scratch};
use proptest::prelude::*;

struct Reference {
    out: Vec<f64>,
    dqkv: Vec<f64>,
    dprefix: Vec<f64>,
}

/// Forward and backward, from the definition.
fn reference(shape: AttentionShape, qkv: &[f32], prefix: &[f32], dout: &[f32]) -> Reference {
    let AttentionShape { tokens, causal, prefix: before, heads, head_size: size } = shape;
    let width = heads * size;
    let all: Vec<f64> = wide(prefix).into_iter().chain(wide(qkv)).collect();
    let mut out = vec![0.0; tokens * width];
    let mut dall = vec![0.0; all.len()];
    let scale = 1.0 / (size as f64).sqrt();
    for head in 0..heads {
        for i in 0..tokens {
            let q = (before + i) * 3 * width + head * size;
            let key = |j: usize| j * 3 * width + width + head * size;
            let value = |j: usize| j * 3 * width + 2 * width + head * size;
            let visible = if causal { before + i + 1 } else { before + tokens };
            let score: Vec<f64> = (0..visible)
                .map(|j| scale * (0..size).map(|d| all[q + d] * all[key(j) + d]).sum::<f64>())
                .collect();
            let max = score.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            let sum: f64 = score.iter().map(|s| (s - max).exp()).sum();
            let p: Vec<f64> = score.iter().map(|s| (s - max).exp() / sum).collect();
            let g: Vec<f64> = (0..size).map(|d| f64::from(dout[i * width + head * size + d])).collect();
            let dp: Vec<f64> =
                (0..visible).map(|j| (0..size).map(|d| g[d] * all[value(j) + d]).sum()).collect();
            let dot: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
            for j in 0..visible {
                let ds = p[j] * (dp[j] - dot) * scale;
                for d in 0..size {
                    out[i * width + head * size + d] += p[j] * all[value(j) + d];
                    dall[q + d] += ds * all[key(j) + d];
                    dall[key(j) + d] += ds * all[q + d];
                    dall[value(j) + d] += p[j] * g[d];
                }
            }
        }
    }
    let dqkv = dall.split_off(before * 3 * width);
    Reference { out, dqkv, dprefix: dall }
}

fn check(shape: AttentionShape, seed: u64) {
    let width = shape.heads * shape.head_size;
    let amplify = |x: Vec<f32>| -> Vec<f32> { x.iter().map(|x| 3.0 * x).collect() };
    let qkv = amplify(values(seed, shape.tokens * 3 * width));
    let prefix = amplify(values(seed ^ 1, shape.prefix * 3 * width));
    check_on(shape, &qkv, &prefix, seed);
}

/// Both passes on these queries, keys and values.
fn check_on(shape: AttentionShape, qkv: &[f32], prefix: &[f32], seed: u64) {
    let AttentionShape { tokens, prefix: before, heads, head_size: size, .. } = shape;
    let width = heads * size;
    let dout = values(seed ^ 2, tokens * width);
    let held = values(seed ^ 3, before * 3 * width);
    let want = reference(shape, qkv, prefix, &dout);
    let dprefix: Vec<f64> = want.dprefix.iter().zip(wide(&held)).map(|(d, held)| d + held).collect();
    let mut scratch = Scratch::new();
    for kernels in all_kernels() {
        let (mut out, mut softmax) = (vec![f32::NAN; tokens * width], vec![f32::NAN; shape.kept()]);
        kernels.attention(shape, qkv, prefix, &mut out, &mut softmax, &mut scratch);
        assert_close("out", kernels, &out, &want.out, 5e-6);
        let (mut got, mut got_prefix) = (vec![f32::NAN; tokens * 3 * width], held.clone());
        kernels.attention_backward(
            shape,
            qkv,
            prefix,
            &softmax,
            &dout,
            &mut got,
            &mut got_prefix,
            &mut scratch,
        );
        assert_close("dqkv", kernels, &got, &want.dqkv, 1e-5);
        assert_close("dprefix", kernels, &got_prefix, &dprefix, 1e-5);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_sizes(
        tokens in 0..30usize,
        prefix in prop_oneof![Just(0usize), 1..30usize],
        heads in 1..4usize,
        head_size in 1..20usize,
        causal: bool,
        seed: u64,
    ) {
        check(AttentionShape { tokens, causal, prefix, heads, head_size }, seed);
    }
}

#[test]
fn more_tokens_than_a_block_and_wider_heads_than_a_panel() {
    for (tokens, prefix, head_size) in [(205, 0, 16), (81, 0, 32), (100, 37, 70), (20, 61, 32), (1, 130, 8)] {
        for causal in [true, false] {
            check(AttentionShape { tokens, causal, prefix, heads: 2, head_size }, 7);
        }
    }
}

/// As those of a diverging model. Small whole numbers times a power of 2 have exact products, so that `f64` sees the same
/// scores, ties among them too.
#[test]
fn huge_scores_are_as_good_as_small_ones() {
    let shape = AttentionShape { tokens: 30, causal: true, prefix: 9, heads: 2, head_size: 5 };
    let width = shape.heads * shape.head_size;
    for exponent in [0, 6, 11, 13, 15, 17, 20, 40, 55] {
        let scaled = |seed: u64, rows: usize| -> Vec<f32> {
            let whole = values(seed, rows * 3 * width).into_iter().map(|x| (2.0 * x).round());
            let is_value = |i: usize| i % (3 * width) >= 2 * width;
            let factor = |i| if is_value(i) { 1.0 } else { 2f32.powi(exponent) };
            whole.enumerate().map(|(i, x)| x * factor(i)).collect()
        };
        check_on(shape, &scaled(5, shape.tokens), &scaled(6, shape.prefix), 7);
    }
}

/// A gradient beside such scores would be multiplied by queries and keys as huge.
#[test]
fn a_token_that_sees_one_key_alone_has_no_gradient_of_its_score() {
    let shape = AttentionShape { tokens: 2, causal: true, prefix: 0, heads: 1, head_size: 1 };
    let mut scratch = Scratch::new();
    for kernels in all_kernels() {
        for large in (0..200_u16).map(|i| 20.0 + 7.3 * f32::from(i)) {
            let qkv = [large, 0.0, 0.7, large, large, 1.3];
            let (mut out, mut softmax) = ([0.0; 2], [0.0; 4]);
            kernels.attention(shape, &qkv, &[], &mut out, &mut softmax, &mut scratch);
            assert_eq!(out, [0.7, 1.3], "keys of {large}");
            let mut got = [f32::NAN; 6];
            kernels.attention_backward(
                shape,
                &qkv,
                &[],
                &softmax,
                &[0.3, 0.9],
                &mut got,
                &mut [],
                &mut scratch,
            );
            assert_eq!(got, [0.0, 0.0, 0.3, 0.0, 0.0, 0.9], "keys of {large}");
        }
    }
}

/// A CPU takes a hundred cycles for each.
#[test]
fn a_key_that_is_hardly_seen_has_no_subnormal_gradient() {
    let shape = AttentionShape { tokens: 1, causal: true, prefix: 1, heads: 1, head_size: 1 };
    let mut scratch = Scratch::new();
    for kernels in all_kernels() {
        for below in (0..200_u16).map(f32::from) {
            let (qkv, prefix) = ([1.0, 0.0, 1.3], [1.0, -below, 0.7]);
            let (mut out, mut softmax) = ([0.0; 1], [0.0; 2]);
            kernels.attention(shape, &qkv, &prefix, &mut out, &mut softmax, &mut scratch);
            let (mut got, mut of_prefix) = ([f32::NAN; 3], [0.0; 3]);
            kernels.attention_backward(
                shape,
                &qkv,
                &prefix,
                &softmax,
                &[1e-6],
                &mut got,
                &mut of_prefix,
                &mut scratch,
            );
            let subnormal = got.iter().chain(&of_prefix).any(|x| x.is_subnormal());
            assert!(!subnormal, "{below} below: {got:?}, {of_prefix:?}, on {:?}", kernels.isa());
        }
    }
}
