//! The scan of a diagonal state space over the tokens of one sequence.
//!
//! Every channel has states of its own, which decay and take in the channel's input; none meets another's. For state n of
//! a channel, with `h_n` of the token before on the right:
//!
//! ```text
//! h_n = decay_n h_n + gain_n x        y = sum over n of read_n h_n + skip x
//! ```
//!
//! Channels lie side by side, so that a vector holds one state of many channels.

use crate::isa::Kernels;
use crate::simd::{Kernel, Simd, load, store};

/// The system's numbers, the same at every token.
#[derive(Clone, Copy, Debug)]
pub struct Diagonal<'a> {
    /// What is left of a state after a token, (states, width).
    pub decay: &'a [f32],
    /// How much of the input a state takes in, (states, width).
    pub gain: &'a [f32],
    /// How much of a state the output has, (states, width).
    pub read: &'a [f32],
    /// How much of the input the output has beside the states, (width).
    pub skip: &'a [f32],
}

impl Diagonal<'_> {
    fn check(self, what: &str, x: &[f32], states: &[f32]) {
        let (width, all) = (self.skip.len(), self.decay.len());
        assert!(width > 0 && all.is_multiple_of(width), "{what}: decay isn't rows of {width}");
        assert_eq!(self.gain.len(), all, "{what}: gain isn't as decay");
        assert_eq!(self.read.len(), all, "{what}: read isn't as decay");
        assert!(x.len().is_multiple_of(width), "{what}: x isn't rows of {width}");
        assert_eq!(states.len(), (x.len() / width + 1) * all, "{what}: not one more states than tokens");
    }
}

/// The loss's gradients with respect to the system's numbers, each to be added to.
#[derive(Debug)]
pub struct DiagonalGradients<'a> {
    /// (states, width)
    pub decay: &'a mut [f32],
    /// (states, width)
    pub gain: &'a mut [f32],
    /// (states, width)
    pub read: &'a mut [f32],
    /// (width)
    pub skip: &'a mut [f32],
}

impl Kernels {
    /// The outputs at all tokens, and the states after each.
    ///
    /// # Shapes
    /// `x`, `y` (tokens, width); `states` (tokens + 1, states, width), of which the first ones are given: those before
    /// the first token.
    pub fn scan(self, system: Diagonal<'_>, x: &[f32], states: &mut [f32], y: &mut [f32]) {
        system.check("scan", x, states);
        assert_eq!(y.len(), x.len(), "scan: y isn't as x");
        self.run(Forward { system, x, states, y });
    }

    /// Replaces `dy`, the gradient with respect to the outputs, by that with respect to the inputs, and `dstate`, that of the
    /// last states, by that of the first ones.
    ///
    /// # Shapes
    /// `x`, `dy` (tokens, width); `states` (tokens + 1, states, width), as [`Kernels::scan`] left them; `dstate` (states,
    /// width).
    pub fn scan_backward(
        self,
        system: Diagonal<'_>,
        x: &[f32],
        states: &[f32],
        dy: &mut [f32],
        dstate: &mut [f32],
        grads: DiagonalGradients<'_>,
    ) {
        system.check("scan_backward", x, states);
        assert_eq!(dy.len(), x.len(), "scan_backward: dy isn't as x");
        for matrix in [&*dstate, &*grads.decay, &*grads.gain, &*grads.read] {
            assert_eq!(matrix.len(), system.decay.len(), "scan_backward: a derivative isn't as decay");
        }
        assert_eq!(
            grads.skip.len(),
            system.skip.len(),
            "scan_backward: the gradient of skip isn't shaped as skip"
        );
        self.run(Backward { system, x, states, dy, dstate, grads });
    }
}

struct Forward<'a> {
    system: Diagonal<'a>,
    x: &'a [f32],
    states: &'a mut [f32],
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Diagonal { decay, gain, read, skip } = self.system;
        let (width, all) = (skip.len(), decay.len());
        let mut rest = self.states;
        for (x, y) in self.x.chunks_exact(width).zip(self.y.chunks_exact_mut(width)) {
            let (before, later) = rest.split_at_mut(all);
            for at in (0..width).step_by(S::LANES) {
                let input = load(s, x, at);
                let mut output = s.mul(load(s, skip, at), input);
                for row in (0..all).step_by(width) {
                    let own = row..row + width;
                    let taken_in = s.mul(load(s, &gain[own.clone()], at), input);
                    let last = load(s, &before[own.clone()], at);
                    let state = s.mul_add(load(s, &decay[own.clone()], at), last, taken_in);
                    store(s, &mut later[own.clone()], at, state);
                    output = s.mul_add(load(s, &read[own], at), state, output);
                }
                store(s, y, at, output);
            }
            rest = later;
        }
    }
}

struct Backward<'a> {
    system: Diagonal<'a>,
    x: &'a [f32],
    states: &'a [f32],
    dy: &'a mut [f32],
    dstate: &'a mut [f32],
    grads: DiagonalGradients<'a>,
}

impl Kernel for Backward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Diagonal { decay, gain, read, skip } = self.system;
        let (width, all) = (skip.len(), decay.len());
        let DiagonalGradients { decay: ddecay, gain: dgain, read: dread, skip: dskip } = self.grads;
        let tokens = self.x.chunks_exact(width).zip(self.dy.chunks_exact_mut(width));
        for (token, (x, dy)) in tokens.enumerate().rev() {
            let (before, after) = self.states[token * all..(token + 2) * all].split_at(all);
            for at in (0..width).step_by(S::LANES) {
                let (input, doutput) = (load(s, x, at), load(s, dy, at));
                store(s, dskip, at, s.mul_add(doutput, input, load(s, dskip, at)));
                let mut dinput = s.mul(load(s, skip, at), doutput);
                for row in (0..all).step_by(width) {
                    let own = row..row + width;
                    let dread = &mut dread[own.clone()];
                    store(
                        s,
                        dread,
                        at,
                        s.mul_add(doutput, load(s, &after[own.clone()], at), load(s, dread, at)),
                    );
                    let dcarried = &mut self.dstate[own.clone()];
                    let dh = s.mul_add(load(s, &read[own.clone()], at), doutput, load(s, dcarried, at));
                    let ddecay = &mut ddecay[own.clone()];
                    store(
                        s,
                        ddecay,
                        at,
                        s.mul_add(dh, load(s, &before[own.clone()], at), load(s, ddecay, at)),
                    );
                    let dgain = &mut dgain[own.clone()];
                    store(s, dgain, at, s.mul_add(dh, input, load(s, dgain, at)));
                    dinput = s.mul_add(load(s, &gain[own.clone()], at), dh, dinput);
                    store(s, dcarried, at, s.mul(load(s, &decay[own], at), dh));
                }
                store(s, dy, at, dinput);
            }
        }
    }
}
