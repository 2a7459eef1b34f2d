//! Layer norm and root-mean-square norm over the last dimension, eps 1e-5.

use crate::isa::Kernels;
use crate::simd::{Kernel, Simd};

/// Added to the variance, or to the mean square.
const EPS: f32 = 1e-5;
/// Rows whose statistics are computed before any of them is normalised.
const BLOCK: usize = 16;

impl Kernels {
    /// `out = (x - mean) / sqrt(var + 1e-5) * weight + bias` on each row; keeps what the backward pass needs.
    ///
    /// # Shapes
    /// `x` and `out` (rows, width), `weight` and `bias` (width), `mean` and `inverse_std` (rows).
    pub fn layer_norm(
        self,
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        out: &mut [f32],
        mean: &mut [f32],
        inverse_std: &mut [f32],
    ) {
        let (rows, width) = (mean.len(), weight.len());
        assert_eq!(inverse_std.len(), rows, "layer_norm: inverse_std isn't ({rows})");
        assert_eq!(bias.len(), width, "layer_norm: the bias isn't ({width})");
        assert_eq!(x.len(), rows * width, "layer_norm: x isn't ({rows}, {width})");
        assert_eq!(out.len(), rows * width, "layer_norm: out isn't ({rows}, {width})");
        if width > 0 {
            self.run(Forward::<true> { x, weight, bias, out, mean, inverse_std });
        }
    }

    /// `dx` from `dy` (added to `dx` if `accumulate`, as at a residual connection); `dweight` and `dbias` are added to.
    ///
    /// # Shapes
    /// `dy`, `x`, `dx` (rows, width), `mean`, `inverse_std` (rows) as the forward pass left them, `weight`, `dweight`,
    /// `dbias` (width).
    #[allow(clippy::too_many_arguments)]
    pub fn layer_norm_backward(
        self,
        dy: &[f32],
        x: &[f32],
        mean: &[f32],
        inverse_std: &[f32],
        weight: &[f32],
        dx: &mut [f32],
        accumulate: bool,
        dweight: &mut [f32],
        dbias: &mut [f32],
    ) {
        let (rows, width) = (mean.len(), weight.len());
        assert_eq!(inverse_std.len(), rows, "layer_norm_backward: inverse_std isn't ({rows})");
        assert_eq!(dweight.len(), width, "layer_norm_backward: dweight isn't ({width})");
        assert_eq!(dbias.len(), width, "layer_norm_backward: dbias isn't ({width})");
        for matrix in [dy, x, &*dx] {
            assert_eq!(matrix.len(), rows * width, "layer_norm_backward: not ({rows}, {width})");
        }
        if width > 0 {
            self.run(Backward::<true> { dy, x, mean, inverse_std, weight, dx, accumulate, dweight, dbias });
        }
    }

    /// `out = x / sqrt(mean(x^2) + 1e-5) * weight` on each row (Zhang and Sennrich, arXiv 1910.07467); keeps what the backward pass needs.
    ///
    /// # Shapes
    /// `x` and `out` (rows, width), `weight` (width), `zeros` and `inverse_rms` (rows): `zeros` is filled with 0.
    pub fn rms_norm(
        self,
        x: &[f32],
        weight: &[f32],
        out: &mut [f32],
        zeros: &mut [f32],
        inverse_rms: &mut [f32],
    ) {
        let (rows, width) = (zeros.len(), weight.len());
        assert_eq!(inverse_rms.len(), rows, "rms_norm: inverse_rms isn't ({rows})");
        assert_eq!(x.len(), rows * width, "rms_norm: x isn't ({rows}, {width})");
        assert_eq!(out.len(), rows * width, "rms_norm: out isn't ({rows}, {width})");
        if width > 0 {
            self.run(Forward::<false> { x, weight, bias: &[], out, mean: zeros, inverse_std: inverse_rms });
        }
    }

    /// `dx` from `dy` (added to `dx` if `accumulate`); `dweight` is added to.
    ///
    /// # Shapes
    /// As [`Kernels::layer_norm_backward`], `zeros` and `inverse_rms` as [`Kernels::rms_norm`] left them.
    #[allow(clippy::too_many_arguments, reason = "as a layer norm's, without the bias")]
    pub fn rms_norm_backward(
        self,
        dy: &[f32],
        x: &[f32],
        zeros: &[f32],
        inverse_rms: &[f32],
        weight: &[f32],
        dx: &mut [f32],
        accumulate: bool,
        dweight: &mut [f32],
    ) {
        let (rows, width) = (zeros.len(), weight.len());
        assert_eq!(inverse_rms.len(), rows, "rms_norm_backward: inverse_rms isn't ({rows})");
        assert_eq!(dweight.len(), width, "rms_norm_backward: dweight isn't ({width})");
        for matrix in [dy, x, &*dx] {
            assert_eq!(matrix.len(), rows * width, "rms_norm_backward: not ({rows}, {width})");
        }
        let (mean, inverse_std, dbias) = (zeros, inverse_rms, &mut [][..]);
        if width > 0 {
            self.run(Backward::<false> { dy, x, mean, inverse_std, weight, dx, accumulate, dweight, dbias });
        }
    }
}

/// A norm of rows that are `CENTRED` first, with a bias, or of rows as they are, with none.
struct Forward<'a, const CENTRED: bool> {
    x: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    out: &'a mut [f32],
    mean: &'a mut [f32],
    inverse_std: &'a mut [f32],
}

impl<const CENTRED: bool> Kernel for Forward<'_, CENTRED> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.weight.len();
        let blocks = self.x.chunks(BLOCK * width).zip(self.out.chunks_mut(BLOCK * width));
        let statistics = self.mean.chunks_mut(BLOCK).zip(self.inverse_std.chunks_mut(BLOCK));
        for ((x, out), (means, inverse_stds)) in blocks.zip(statistics) {
            // One pass after the other, so that rows don't wait for each other's sums and roots.
            for (x, mean) in x.chunks_exact(width).zip(&mut *means) {
                *mean = if CENTRED { sum(s, x) / width as f32 } else { 0.0 };
            }
            for ((x, mean), inverse_std) in x.chunks_exact(width).zip(&*means).zip(&mut *inverse_stds) {
                *inverse_std = 1.0 / (squared_distance(s, x, *mean) / width as f32 + EPS).sqrt();
            }
            let rows = x.chunks_exact(width).zip(out.chunks_exact_mut(width));
            for ((x, out), (mean, inverse_std)) in rows.zip(means.iter().zip(&*inverse_stds)) {
                let (shift, scale) = (s.splat(*mean), s.splat(*inverse_std));
                let mut j = 0;
                while j + S::LANES <= width {
                    let normal = s.mul(s.sub(s.load(&x[j..]), shift), scale);
                    let weight = s.load(&self.weight[j..]);
                    let y = if CENTRED {
                        s.mul_add(normal, weight, s.load(&self.bias[j..]))
                    } else {
                        s.mul(normal, weight)
                    };
                    s.store(&mut out[j..], y);
                    j += S::LANES;
                }
                if j < width {
                    let normal = s.mul(s.sub(s.load_tail(&x[j..]), shift), scale);
                    let weight = s.load_tail(&self.weight[j..]);
                    let y = if CENTRED {
                        s.mul_add(normal, weight, s.load_tail(&self.bias[j..]))
                    } else {
                        s.mul(normal, weight)
                    };
                    s.store_tail(&mut out[j..], y);
                }
            }
        }
    }
}

#[inline(always)]
fn sum<S: Simd>(s: S, x: &[f32]) -> f32 {
    let mut total = s.splat(0.0);
    let mut chunks = x.chunks_exact(S::LANES);
    for x in &mut chunks {
        total = s.add(total, s.load(x));
    }
    let tail = chunks.remainder();
    if !tail.is_empty() {
        total = s.add(total, s.load_tail(tail));
    }
    s.sum(total)
}

#[inline(always)]
fn squared_distance<S: Simd>(s: S, x: &[f32], from: f32) -> f32 {
    let from = s.splat(from);
    let mut total = s.splat(0.0);
    let mut chunks = x.chunks_exact(S::LANES);
    for x in &mut chunks {
        let distance = s.sub(s.load(x), from);
        total = s.mul_add(distance, distance, total);
    }
    let tail = chunks.remainder();
    if !tail.is_empty() {
        let distance = s.keep_first(s.sub(s.load_tail(tail), from), tail.len(), s.splat(0.0));
        total = s.mul_add(distance, distance, total);
    }
    s.sum(total)
}

struct Backward<'a, const CENTRED: bool> {
    dy: &'a [f32],
    x: &'a [f32],
    mean: &'a [f32],
    inverse_std: &'a [f32],
    weight: &'a [f32],
    dx: &'a mut [f32],
    accumulate: bool,
    dweight: &'a mut [f32],
    dbias: &'a mut [f32],
}

impl<const CENTRED: bool> Kernel for Backward<'_, CENTRED> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.weight.len();
        let whole = width - width % S::LANES;
        let inputs = self.dy.chunks_exact(width).zip(self.x.chunks_exact(width));
        let rows = inputs.zip(self.dx.chunks_exact_mut(width)).zip(self.mean.iter().zip(self.inverse_std));
        let (dweight, dbias) = (self.dweight, self.dbias);
        for (((dy, x), dx), (&mean, &inverse_std)) in rows {
            let (shift, scale) = (s.splat(mean), s.splat(inverse_std));
            // With g = dy * weight and n the normalised x: dx = (g - mean(g) - n mean(g n)) / std.
            let (mut sum_g, mut sum_gn) = (s.splat(0.0), s.splat(0.0));
            let mut j = 0;
            while j < whole {
                let normal = s.mul(s.sub(s.load(&x[j..]), shift), scale);
                let y = s.load(&dy[j..]);
                let g = s.mul(y, s.load(&self.weight[j..]));
                sum_g = s.add(sum_g, g);
                sum_gn = s.mul_add(g, normal, sum_gn);
                let sum = s.mul_add(y, normal, s.load(&dweight[j..]));
                s.store(&mut dweight[j..], sum);
                if CENTRED {
                    let sum = s.add(s.load(&dbias[j..]), y);
                    s.store(&mut dbias[j..], sum);
                }
                j += S::LANES;
            }
            let (mut normal, mut g) = (s.splat(0.0), s.splat(0.0));
            if whole < width {
                // The lanes past the end have dy = 0 and so add nothing.
                normal = s.mul(s.sub(s.load_tail(&x[whole..]), shift), scale);
                let y = s.load_tail(&dy[whole..]);
                g = s.mul(y, s.load_tail(&self.weight[whole..]));
                sum_g = s.add(sum_g, g);
                sum_gn = s.mul_add(g, normal, sum_gn);
                let sum = s.mul_add(y, normal, s.load_tail(&dweight[whole..]));
                s.store_tail(&mut dweight[whole..], sum);
                if CENTRED {
                    let sum = s.add(s.load_tail(&dbias[whole..]), y);
                    s.store_tail(&mut dbias[whole..], sum);
                }
            }

            // The mean is a part of a centred row only.
            let mean_g = s.splat(if CENTRED { s.sum(sum_g) / width as f32 } else { 0.0 });
            let mean_gn = s.splat(s.sum(sum_gn) / width as f32);
            let mut j = 0;
            while j < whole {
                let normal = s.mul(s.sub(s.load(&x[j..]), shift), scale);
                let g = s.mul(s.load(&dy[j..]), s.load(&self.weight[j..]));
                let mut d = s.mul(s.neg_mul_add(normal, mean_gn, s.sub(g, mean_g)), scale);
                if self.accumulate {
                    d = s.add(s.load(&dx[j..]), d);
                }
                s.store(&mut dx[j..], d);
                j += S::LANES;
            }
            if whole < width {
                let mut d = s.mul(s.neg_mul_add(normal, mean_gn, s.sub(g, mean_g)), scale);
                if self.accumulate {
                    d = s.add(s.load_tail(&dx[whole..]), d);
                }
                s.store_tail(&mut dx[whole..], d);
            }
        }
    }
}
