//! The scan against `f64`: forward by its definition, backward by the sum that each derivative is.

use crate::{all_kernels, assert_close, values, wide};
use looped_ops::{Diagonal, DiagonalGradients};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn scan(tokens in 0..9usize, states in 0..5usize, width in 1..40usize, seed: u64) {
        let all = states * width;
        let of = |i: u64, len: usize| values(seed ^ i, len);
        let (decay, gain, read, skip) = (of(1, all), of(2, all), of(3, all), of(4, width));
        let (x, first, dy, dlast) = (of(5, tokens * width), of(6, all), of(7, tokens * width), of(8, all));
        let (mut want_states, mut want_y) = (wide(&first), vec![]);
        for (i, &x) in wide(&x).iter().enumerate() {
            // The states of a token are appended with its first channel.
            if i % width == 0 {
                want_states.resize(want_states.len() + all, 0.0);
            }
            let (token, channel) = (i / width, i % width);
            let mut y = f64::from(skip[channel]) * x;
            for at in (channel..all).step_by(width) {
                let last = want_states[token * all + at];
                let state = f64::from(decay[at]) * last + f64::from(gain[at]) * x;
                want_states[(token + 1) * all + at] = state;
                y += f64::from(read[at]) * state;
            }
            want_y.push(y);
        }
        // What each state's derivative is, from the last token on.
        let mut carried = wide(&dlast);
        let mut want_dx = vec![0.0; tokens * width];
        let [mut want_ddecay, mut want_dgain, mut want_dread] = [vec![0.0; all], vec![0.0; all], vec![0.0; all]];
        let mut want_dskip = vec![0.0; width];
        for token in (0..tokens).rev() {
            for channel in 0..width {
                let i = token * width + channel;
                let (x, dy) = (f64::from(x[i]), f64::from(dy[i]));
                want_dskip[channel] += dy * x;
                want_dx[i] += f64::from(skip[channel]) * dy;
                for at in (channel..all).step_by(width) {
                    let dh = carried[at] + f64::from(read[at]) * dy;
                    want_dread[at] += dy * want_states[(token + 1) * all + at];
                    want_ddecay[at] += dh * want_states[token * all + at];
                    want_dgain[at] += dh * x;
                    want_dx[i] += f64::from(gain[at]) * dh;
                    carried[at] = f64::from(decay[at]) * dh;
                }
            }
        }
        for kernels in all_kernels() {
            let system = Diagonal { decay: &decay, gain: &gain, read: &read, skip: &skip };
            let (mut states, mut y) = (vec![f32::NAN; want_states.len()], vec![f32::NAN; tokens * width]);
            states[..all].copy_from_slice(&first);
            kernels.scan(system, &x, &mut states, &mut y);
            assert_close("states", kernels, &states, &want_states, 1e-6);
            assert_close("y", kernels, &y, &want_y, 1e-6);
            let (mut dx, mut dstate) = (dy.clone(), dlast.clone());
            let [mut ddecay, mut dgain, mut dread] = [vec![0.0; all], vec![0.0; all], vec![0.0; all]];
            let mut dskip = vec![0.0; width];
            let grads =
                DiagonalGradients { decay: &mut ddecay, gain: &mut dgain, read: &mut dread, skip: &mut dskip };
            kernels.scan_backward(system, &x, &states, &mut dx, &mut dstate, grads);
            assert_close("dx", kernels, &dx, &want_dx, 2e-6);
            assert_close("dstate", kernels, &dstate, &carried, 2e-6);
            for (what, got, want) in [
                ("ddecay", &ddecay, &want_ddecay),
                ("dgain", &dgain, &want_dgain),
                ("dread", &dread, &want_dread),
                ("dskip", &dskip, &want_dskip),
            ] {
                assert_close(what, kernels, got, want, 2e-6);
            }
        }
    }
}
