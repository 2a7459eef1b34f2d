//! GELU in its tanh form, `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`, which is `x * sigmoid(2 sqrt(2/pi) (...))`.

use crate::isa::Kernels;
use crate::math::gate_and_exp2;
use crate::simd::{Kernel, Simd};

/// `2 sqrt(2/pi)`
const SCALE: f32 = 1.595_769_2;
const CUBE: f32 = 0.044_715;
/// The scale of the power of 2 that stands for `e^-u`.
const POWER: f32 = -SCALE * std::f32::consts::LOG2_E;

impl Kernels {
    /// `out = gelu(x)`, of equal lengths.
    pub fn gelu(self, x: &[f32], out: &mut [f32]) {
        assert_eq!(x.len(), out.len(), "gelu: lengths differ");
        self.run(Forward { x, out });
    }

    /// `grad *= gelu'(pre)`, and `pre` is replaced by `gelu(pre)`, which the next layer's weight gradient needs.
    pub fn gelu_backward(self, pre: &mut [f32], grad: &mut [f32]) {
        assert_eq!(pre.len(), grad.len(), "gelu_backward: lengths differ");
        self.run(Backward { pre, grad });
    }
}

struct Forward<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        forward(s, self.x, self.out);
    }
}

struct Backward<'a> {
    pre: &'a mut [f32],
    grad: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        backward(s, self.pre, self.grad);
    }
}

/// `x^2`, and the logistic function of its argument `u` with `e^-u`.
#[inline(always)]
fn square_gate_and_exp<S: Simd>(s: S, x: S::F) -> (S::F, S::F, S::F) {
    let square = s.mul(x, x);
    let power = s.mul(x, s.mul_add(square, s.splat(POWER * CUBE), s.splat(POWER)));
    let (gate, e) = gate_and_exp2(s, power);
    (square, gate, e)
}

#[inline(always)]
pub(crate) fn value<S: Simd>(s: S, x: S::F) -> S::F {
    let (_, gate, _) = square_gate_and_exp(s, x);
    s.mul(x, gate)
}

/// The value and the derivative.
#[inline(always)]
pub(crate) fn value_and_slope<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    let (square, gate, e) = square_gate_and_exp(s, x);
    let value = s.mul(x, gate);
    let slope_of_u = s.mul_add(square, s.splat(3.0 * SCALE * CUBE), s.splat(SCALE));
    // gate + x gate (1 - gate) u', with 1 - gate = e gate, which doesn't cancel.
    (value, s.mul_add(s.mul(value, s.mul(e, gate)), slope_of_u, gate))
}

#[inline(always)]
pub(crate) fn forward<S: Simd>(s: S, x: &[f32], out: &mut [f32]) {
    let mut source = x.chunks_exact(S::LANES);
    let mut target = out.chunks_exact_mut(S::LANES);
    for (x, y) in (&mut source).zip(&mut target) {
        s.store(y, value(s, s.load(x)));
    }
    let x = s.load_tail(source.remainder());
    s.store_tail(target.into_remainder(), value(s, x));
}

#[inline(always)]
pub(crate) fn forward_in_place<S: Simd>(s: S, x: &mut [f32]) {
    let mut chunks = x.chunks_exact_mut(S::LANES);
    for x in &mut chunks {
        let y = value(s, s.load(x));
        s.store(x, y);
    }
    let tail = chunks.into_remainder();
    let y = value(s, s.load_tail(tail));
    s.store_tail(tail, y);
}

#[inline(always)]
pub(crate) fn backward<S: Simd>(s: S, pre: &mut [f32], grad: &mut [f32]) {
    let mut pres = pre.chunks_exact_mut(S::LANES);
    let mut grads = grad.chunks_exact_mut(S::LANES);
    for (x, g) in (&mut pres).zip(&mut grads) {
        let (y, slope) = value_and_slope(s, s.load(x));
        s.store(x, y);
        let product = s.mul(s.load(g), slope);
        s.store(g, product);
    }
    let (x, g) = (pres.into_remainder(), grads.into_remainder());
    let (y, slope) = value_and_slope(s, s.load_tail(x));
    s.store_tail(x, y);
    let product = s.mul(s.load_tail(g), slope);
    s.store_tail(g, product);
}
