//! The LSTM cell against `f64`.

use crate::{all_kernels, assert_close, values, wide};
use proptest::prelude::*;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cell(rows in 0..4usize, width in 1..40usize, gain in 0.1..12.0f32, seed: u64) {
        let sums: Vec<f32> = values(seed, rows * 4 * width).iter().map(|x| gain * x).collect();
        let c_prev = values(seed ^ 1, rows * width);
        let (dh, dc) = (values(seed ^ 2, rows * width), values(seed ^ 3, rows * width));
        let (mut want_c, mut want_h, mut want_dc) = (vec![], vec![], vec![]);
        let mut want_d = vec![0.0; rows * 4 * width];
        let (wide_sums, wide_prev, wide_dh, wide_dc) = (wide(&sums), wide(&c_prev), wide(&dh), wide(&dc));
        for at in 0..rows * width {
            let gate = |k: usize| at / width * 4 * width + k * width + at % width;
            let (i, f) = (sigmoid(wide_sums[gate(0)]), sigmoid(wide_sums[gate(1)]));
            let (g, o) = (wide_sums[gate(2)].tanh(), sigmoid(wide_sums[gate(3)]));
            let c = f * wide_prev[at] + i * g;
            let d = wide_dc[at] + wide_dh[at] * o * (1.0 - c.tanh().powi(2));
            want_c.push(c);
            want_h.push(o * c.tanh());
            want_dc.push(d * f);
            want_d[gate(0)] = d * g * i * (1.0 - i);
            want_d[gate(1)] = d * wide_prev[at] * f * (1.0 - f);
            want_d[gate(2)] = d * i * (1.0 - g * g);
            want_d[gate(3)] = wide_dh[at] * c.tanh() * o * (1.0 - o);
        }
        for kernels in all_kernels() {
            let (mut gates, mut c, mut h) = (sums.clone(), vec![f32::NAN; rows * width], vec![f32::NAN; rows * width]);
            kernels.lstm_cell(width, &mut gates, &c_prev, &mut c, &mut h);
            assert_close("c", kernels, &c, &want_c, 3e-7);
            assert_close("h", kernels, &h, &want_h, 3e-7);
            let mut carried = dc.clone();
            kernels.lstm_cell_backward(width, &mut gates, &c_prev, &c, &dh, &mut carried);
            assert_close("dgates", kernels, &gates, &want_d, 6e-7);
            assert_close("dc", kernels, &carried, &want_dc, 6e-7);
        }
    }
}

/// Through the cell: with the other gates shut or open by 40, `h` is `tanh(tanh(x))` and `c` is `tanh(x)`.
#[test]
fn tanh_to_two_in_ten_million_near_zero_too() {
    let x: Vec<f32> = (-600..600).map(|i| (i as f32 / 50.0).exp2().copysign(i as f32)).collect();
    let x: Vec<f32> = x.iter().flat_map(|&x| [x, -x]).collect();
    for kernels in all_kernels() {
        for &x in &x {
            let (mut c, mut h) = ([0.0], [0.0]);
            kernels.lstm_cell(1, &mut [40.0, -40.0, x, 40.0], &[0.0], &mut c, &mut h);
            let want = f64::from(x).tanh();
            assert!(
                (f64::from(c[0]) - want).abs() <= 2.5e-7 * want.abs(),
                "tanh({x}) = {}, not {want}",
                c[0]
            );
        }
    }
}
