//! Shifts, with earlier rows and without.

use crate::{all_kernels, assert_close, values};
use proptest::prelude::*;

proptest! {
    #[test]
    fn each_row_is_that_of_an_earlier_token_and_its_gradient_goes_there(
        tokens in 0..9usize,
        earlier in 0..9usize,
        by in 0..12usize,
        width in 1..40usize,
        add: bool,
        seed: u64,
    ) {
        let len = tokens * width;
        let (x, before) = (values(seed, len), values(seed ^ 1, earlier * width));
        let (dout, held, held_before) = (values(seed ^ 2, len), values(seed ^ 3, len), values(seed ^ 4, earlier * width));
        let all: Vec<f32> = before.iter().chain(&x).copied().collect();
        let (mut want, mut dall) = (vec![0.0; len], vec![0.0; all.len()]);
        for (i, want) in want.iter_mut().enumerate() {
            if let Some(from) = (before.len() + i).checked_sub(by * width) {
                *want = f64::from(all[from]);
                dall[from] += f64::from(dout[i]);
            }
        }
        let (dbefore, dx) = dall.split_at(before.len());
        let with = |d: &[f64], held: &[f32], add: bool| -> Vec<f64> {
            d.iter().zip(held).map(|(d, held)| if add { d + f64::from(*held) } else { *d }).collect()
        };
        let (dbefore, dx) = (with(dbefore, &held_before, true), with(dx, &held, add));
        for kernels in all_kernels() {
            let mut out = vec![f32::NAN; len];
            kernels.shift(by * width, &x, &before, &mut out);
            assert_close("out", kernels, &out, &want, 0.0);
            let (mut got, mut got_before) = (held.clone(), held_before.clone());
            kernels.shift_backward(by * width, &dout, &mut got, add, &mut got_before);
            assert_close("dx", kernels, &got, &dx, 2e-7);
            assert_close("dbefore", kernels, &got_before, &dbefore, 2e-7);
        }
    }
}
