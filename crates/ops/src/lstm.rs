//! The pointwise part of an LSTM cell, PyTorch's gate order: input, forget, cell, output.
//!
//! The two products of a time step, `x W_ih^T` (for all steps at once) and `+ h W_hh^T` (per step, with
//! [`Start::Output`](crate::Start::Output)), are [`Kernels::matmul`]. With time-major rows, all sequences of a chunk
//! together, a step's rows are contiguous.

use crate::isa::Kernels;
use crate::math::{sigmoid, tanh};
use crate::simd::{Kernel, Simd, load, store};

impl Kernels {
    /// One time step of every row: `c = f * c_prev + i * g`, `h = o * tanh(c)`.
    ///
    /// `gates` holds the sums of both products and biases, and is replaced by the activated gates, which the backward
    /// pass needs.
    ///
    /// # Shapes
    /// `gates` (rows, 4 width): i, f, g, o; `c_prev`, `c`, `h` (rows, width).
    pub fn lstm_cell(self, width: usize, gates: &mut [f32], c_prev: &[f32], c: &mut [f32], h: &mut [f32]) {
        assert_eq!(gates.len(), 4 * c.len(), "lstm_cell: gates aren't 4 times c");
        assert_eq!(c_prev.len(), c.len(), "lstm_cell: c_prev isn't as c");
        assert_eq!(h.len(), c.len(), "lstm_cell: h isn't as c");
        if !c.is_empty() {
            assert!(width > 0 && c.len().is_multiple_of(width), "lstm_cell: c isn't rows of {width}");
            self.run(Forward { width, gates, c_prev, c, h });
        }
    }

    /// One time step backwards: `gates`, activated as the forward pass left them, are replaced by the gradients of their
    /// sums; `dc`, the gradient that comes from the next step's cell, is replaced by the one for the previous step's.
    ///
    /// # Shapes
    /// `gates` (rows, 4 width), `c_prev`, `c`, `dh`, `dc` (rows, width).
    pub fn lstm_cell_backward(
        self,
        width: usize,
        gates: &mut [f32],
        c_prev: &[f32],
        c: &[f32],
        dh: &[f32],
        dc: &mut [f32],
    ) {
        assert_eq!(gates.len(), 4 * c.len(), "lstm_cell_backward: gates aren't 4 times c");
        for matrix in [c_prev, dh, &*dc] {
            assert_eq!(matrix.len(), c.len(), "lstm_cell_backward: c_prev, dh and dc aren't as c");
        }
        if !c.is_empty() {
            assert!(
                width > 0 && c.len().is_multiple_of(width),
                "lstm_cell_backward: c isn't rows of {width}"
            );
            self.run(Backward { width, gates, c_prev, c, dh, dc });
        }
    }
}

/// Splits a row of gates into i, f, g, o.
#[inline(always)]
fn split(gates: &mut [f32], width: usize) -> [&mut [f32]; 4] {
    let (i, rest) = gates.split_at_mut(width);
    let (f, rest) = rest.split_at_mut(width);
    let (g, o) = rest.split_at_mut(width);
    [i, f, g, o]
}

struct Forward<'a> {
    width: usize,
    gates: &'a mut [f32],
    c_prev: &'a [f32],
    c: &'a mut [f32],
    h: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.width;
        let states = self.c_prev.chunks_exact(width).zip(self.c.chunks_exact_mut(width));
        let rows = self.gates.chunks_exact_mut(4 * width).zip(states).zip(self.h.chunks_exact_mut(width));
        for ((gates, (c_prev, c)), h) in rows {
            let [gi, gf, gg, go] = split(gates, width);
            for at in (0..width).step_by(S::LANES) {
                let i = sigmoid(s, load(s, gi, at));
                let f = sigmoid(s, load(s, gf, at));
                let g = tanh(s, load(s, gg, at));
                let o = sigmoid(s, load(s, go, at));
                let cell = s.mul_add(f, load(s, c_prev, at), s.mul(i, g));
                store(s, c, at, cell);
                store(s, h, at, s.mul(o, tanh(s, cell)));
                store(s, gi, at, i);
                store(s, gf, at, f);
                store(s, gg, at, g);
                store(s, go, at, o);
            }
        }
    }
}

struct Backward<'a> {
    width: usize,
    gates: &'a mut [f32],
    c_prev: &'a [f32],
    c: &'a [f32],
    dh: &'a [f32],
    dc: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.width;
        let one = s.splat(1.0);
        let states = self.c_prev.chunks_exact(width).zip(self.c.chunks_exact(width));
        let gradients = self.dh.chunks_exact(width).zip(self.dc.chunks_exact_mut(width));
        let rows = self.gates.chunks_exact_mut(4 * width).zip(states).zip(gradients);
        for ((gates, (c_prev, c)), (dh, dc)) in rows {
            let [gi, gf, gg, go] = split(gates, width);
            for at in (0..width).step_by(S::LANES) {
                let (i, f, g, o) = (load(s, gi, at), load(s, gf, at), load(s, gg, at), load(s, go, at));
                let dh = load(s, dh, at);
                let t = tanh(s, load(s, c, at));
                // The slopes of tanh and the logistic function are 1 - y^2 and y (1 - y).
                let d_cell = s.mul_add(s.mul(dh, o), s.neg_mul_add(t, t, one), load(s, dc, at));
                store(s, go, at, s.mul(s.mul(dh, t), s.neg_mul_add(o, o, o)));
                store(s, gi, at, s.mul(s.mul(d_cell, g), s.neg_mul_add(i, i, i)));
                let d_forget = s.mul(d_cell, load(s, c_prev, at));
                store(s, gf, at, s.mul(d_forget, s.neg_mul_add(f, f, f)));
                store(s, gg, at, s.mul(s.mul(d_cell, i), s.neg_mul_add(g, g, one)));
                store(s, dc, at, s.mul(d_cell, f));
            }
        }
    }
}
