//! Layer norm and root-mean-square norm against `f64`.

use crate::{all_kernels, assert_close, values, wide};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn layer_norm(rows in prop_oneof![0..9usize, 15..35usize], width in 1..90usize, shift in -3.0..3.0f32, seed: u64) {
        let x: Vec<f32> = values(seed, rows * width).iter().map(|x| x + shift).collect();
        let (weight, bias, dy) = (values(seed ^ 1, width), values(seed ^ 2, width), values(seed ^ 3, rows * width));
        let (before, before_w, before_b) = (values(seed ^ 4, rows * width), values(seed ^ 5, width), values(seed ^ 6, width));
        let (mut want_y, mut want_dx) = (vec![], vec![]);
        let (mut want_dw, mut want_db) = (wide(&before_w), wide(&before_b));
        for row in 0..rows {
            let range = row * width..(row + 1) * width;
            let (x, dy) = (wide(&x[range.clone()]), wide(&dy[range]));
            let n = width as f64;
            let mean = x.iter().sum::<f64>() / n;
            let std = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n + 1e-5).sqrt();
            let normal: Vec<f64> = x.iter().map(|x| (x - mean) / std).collect();
            let g: Vec<f64> = dy.iter().zip(wide(&weight)).map(|(dy, w)| dy * w).collect();
            let mean_g = g.iter().sum::<f64>() / n;
            let mean_gn = g.iter().zip(&normal).map(|(g, n)| g * n).sum::<f64>() / n;
            for j in 0..width {
                want_y.push(normal[j] * f64::from(weight[j]) + f64::from(bias[j]));
                want_dx.push((g[j] - mean_g - normal[j] * mean_gn) / std);
                want_dw[j] += dy[j] * normal[j];
                want_db[j] += dy[j];
            }
        }
        // A narrow row can have a spread far below its shift, which f32 doesn't see better than this.
        let tolerance = if width < 4 { 1e-3 } else { 2e-5 };
        for kernels in all_kernels() {
            let (mut y, mut mean, mut inverse_std) = (vec![f32::NAN; rows * width], vec![f32::NAN; rows], vec![f32::NAN; rows]);
            kernels.layer_norm(&x, &weight, &bias, &mut y, &mut mean, &mut inverse_std);
            assert_close("y", kernels, &y, &want_y, tolerance);
            for accumulate in [false, true] {
                let (mut dx, mut dw, mut db) = (before.clone(), before_w.clone(), before_b.clone());
                kernels.layer_norm_backward(
                    &dy, &x, &mean, &inverse_std, &weight, &mut dx, accumulate, &mut dw, &mut db,
                );
                let start = wide(&before);
                let want: Vec<f64> =
                    want_dx.iter().zip(start).map(|(d, b)| if accumulate { d + b } else { *d }).collect();
                assert_close("dx", kernels, &dx, &want, tolerance);
                assert_close("dw", kernels, &dw, &want_dw, tolerance);
                assert_close("db", kernels, &db, &want_db, 1e-6);
            }
        }
    }

    #[test]
    fn rms_norm(rows in prop_oneof![0..9usize, 15..35usize], width in 1..90usize, seed: u64) {
        let x = values(seed, rows * width);
        let (weight, dy) = (values(seed ^ 1, width), values(seed ^ 3, rows * width));
        let (before, before_w) = (values(seed ^ 4, rows * width), values(seed ^ 5, width));
        let (mut want_y, mut want_dx, mut want_dw) = (vec![], vec![], wide(&before_w));
        for row in 0..rows {
            let range = row * width..(row + 1) * width;
            let (x, dy) = (wide(&x[range.clone()]), wide(&dy[range]));
            let rms = (x.iter().map(|x| x * x).sum::<f64>() / width as f64 + 1e-5).sqrt();
            let g: Vec<f64> = dy.iter().zip(wide(&weight)).map(|(dy, w)| dy * w).collect();
            let mean_gn = g.iter().zip(&x).map(|(g, x)| g * x / rms).sum::<f64>() / width as f64;
            for j in 0..width {
                want_y.push(x[j] / rms * f64::from(weight[j]));
                want_dx.push((g[j] - x[j] / rms * mean_gn) / rms);
                want_dw[j] += dy[j] * x[j] / rms;
            }
        }
        for kernels in all_kernels() {
            let (mut y, mut zeros, mut inverse) = (vec![f32::NAN; rows * width], vec![f32::NAN; rows], vec![f32::NAN; rows]);
            kernels.rms_norm(&x, &weight, &mut y, &mut zeros, &mut inverse);
            assert_close("y", kernels, &y, &want_y, 2e-5);
            for accumulate in [false, true] {
                let (mut dx, mut dw) = (before.clone(), before_w.clone());
                kernels.rms_norm_backward(&dy, &x, &zeros, &inverse, &weight, &mut dx, accumulate, &mut dw);
                let start = wide(&before);
                let want: Vec<f64> =
                    want_dx.iter().zip(start).map(|(d, b)| if accumulate { d + b } else { *d }).collect();
                assert_close("dx", kernels, &dx, &want, 1e-4);
                assert_close("dw", kernels, &dw, &want_dw, 2e-5);
            }
        }
    }
}
