//! How a loop stretches small differences: at the last state, and along the way.

use candle_core::Device;
use looped_core::{Prompts, Result, Rng, Stateful, Watch};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::spread::Spread;
use super::tangent::Tangent;
use crate::eigen::dot;
use crate::states::Counter;

/// Directions that are followed at once: so many exponents there are, and the largest eigenvalue may be any of as many.
pub const DIRECTIONS: usize = 4;

/// Rounds of the power iteration.
pub const ROUNDS: usize = 40;

/// Random directions from which the Frobenius norm is estimated.
const RANDOM: usize = 40;

/// Squarings until the growth of a small matrix's powers is its spectral radius.
const SQUARINGS: usize = 60;

/// The derivative J of one loop with respect to its state, all tokens of a prompt together; each number's spread is over prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jacobian {
    /// How many prompts.
    pub prompts: usize,
    /// Numbers of a prompt's state.
    pub size: usize,
    /// The largest modulus of J's eigenvalues at the last state, by power iteration on [`DIRECTIONS`] directions: below 1 a fixed point there attracts.
    pub spectral_radius: Spread,
    /// How far the last round changed it, relative: where this isn't small the iteration needs more rounds.
    pub radius_change: Spread,
    /// |J| at the last state, Frobenius, by Hutchinson's estimate: the root of the mean of |J v|^2 over 40 random v ~ N(0, I);
    /// exact where the state has no more numbers than that.
    pub frobenius: Spread,
    /// The loops that the exponents are of: after the first number, up to the second.
    pub exponents_over: [usize; 2],
    /// The largest finite-time Lyapunov exponents, per loop, largest first: by how much the logarithm of a small difference grows in a loop, on the mean
    /// over these loops (Benettin's method: derivative and QR, loop by loop).
    pub exponents: Vec<Spread>,
}

/// What is found for one prompt.
#[derive(Clone, Debug)]
struct OfPrompt {
    radius: f64,
    change: f64,
    frobenius: f64,
    exponents: Vec<f64>,
}

/// Takes the derivatives of `exact`, a model computing in 64 bits, on some prompts: exponents over the loops after the first of `between` up to the
/// second, and the rest at the state after these.
///
/// # Errors
/// If the model carries more than its state, a tensor operation fails, or `watch` wants to stop.
pub fn jacobian(
    exact: &dyn Stateful,
    device: &Device,
    prompts: &Prompts,
    between: (usize, usize),
    seed: u64,
    watch: &dyn Watch,
) -> Result<Jacobian> {
    let of_each = between.1 + ROUNDS + RANDOM / DIRECTIONS;
    let counter = Counter::new(of_each * prompts.prompts, 4 * between.1, watch);
    let one = |i: usize| {
        of_prompt(
            exact,
            device,
            &prompts.slice(i..i + 1),
            between,
            &mut Rng::stream(seed, "jacobian", i as u64),
            &counter,
        )
    };
    let found: Vec<OfPrompt> = (0..prompts.prompts).into_par_iter().map(one).collect::<Result<_>>()?;
    let spread = |of: &dyn Fn(&OfPrompt) -> f64| Spread::of(found.iter().map(of));
    let size = prompts.layout.tokens(prompts.points) * exact.width();
    Ok(Jacobian {
        prompts: prompts.prompts,
        size,
        spectral_radius: spread(&|of| of.radius),
        radius_change: spread(&|of| of.change),
        frobenius: spread(&|of| of.frobenius),
        exponents_over: [between.0, between.1],
        exponents: (0..DIRECTIONS.min(size)).map(|n| spread(&|of| of.exponents[n])).collect(),
    })
}

fn of_prompt(
    exact: &dyn Stateful,
    device: &Device,
    prompt: &Prompts,
    (from, to): (usize, usize),
    rng: &mut Rng,
    counter: &Counter<'_>,
) -> Result<OfPrompt> {
    let mut state = exact.looping(prompt, to)?.next_state()?.flatten_all()?.to_vec1::<f64>()?;
    counter.add(1)?;
    let mut tangent = Tangent::new(exact, prompt, to, DIRECTIONS, device)?;
    let size = tangent.size();
    let random = |rng: &mut Rng| -> Vec<f64> { (0..size).map(|_| rng.normal()).collect() };
    let count = DIRECTIONS.min(size);
    let mut frame: Vec<Vec<f64>> = (0..count).map(|_| random(rng)).collect();
    orthonormalise(&mut frame);
    let mut grown = vec![0.0; count];
    for done in 1..to {
        let (next, pushed) = tangent.push(&state, &frame, done)?;
        (state, frame) = (next, pushed);
        let lengths = orthonormalise(&mut frame);
        // The loops before give the directions time to turn to those that grow most.
        if done >= from {
            grown.iter_mut().zip(lengths).for_each(|(grown, length)| *grown += length.ln());
        }
        counter.add(1)?;
    }
    let loops = to.saturating_sub(from.max(1)).max(1) as f64;
    let exponents = grown.into_iter().map(|grown| grown / loops).collect();

    // The directions that grew most along the way are a good beginning, where they haven't vanished.
    frame.iter_mut().filter(|v| dot(v, v) == 0.0).for_each(|v| *v = random(rng));
    orthonormalise(&mut frame);
    let mut radii = [f64::NAN; 2];
    for round in 0..ROUNDS {
        let (_, pushed) = tangent.push(&state, &frame, to)?;
        if round + 2 >= ROUNDS {
            let small: Vec<f64> = frame.iter().flat_map(|v| pushed.iter().map(|w| dot(v, w))).collect();
            radii[round + 2 - ROUNDS] = spectral_radius(small, count);
        }
        frame = pushed;
        orthonormalise(&mut frame);
        counter.add(1)?;
    }
    let mut square = 0.0;
    // Of a state of few numbers each direction is asked once, and the norm is exact.
    let (asked, weight) = if size <= RANDOM { (size, 1.0) } else { (RANDOM, 1.0 / RANDOM as f64) };
    let unit = |n: usize| -> Vec<f64> { (0..size).map(|i| f64::from(u8::from(i == n))).collect() };
    for first in (0..asked).step_by(DIRECTIONS) {
        let asked = first..(first + DIRECTIONS).min(asked);
        let directions: Vec<Vec<f64>> =
            asked.map(|n| if size <= RANDOM { unit(n) } else { random(rng) }).collect();
        let (_, pushed) = tangent.push(&state, &directions, to)?;
        square += weight * pushed.iter().map(|w| dot(w, w)).sum::<f64>();
        counter.add(1)?;
    }
    Ok(OfPrompt {
        radius: radii[1],
        change: (radii[1] - radii[0]).abs() / radii[1],
        frobenius: square.sqrt(),
        exponents,
    })
}

/// Makes vectors orthonormal one after another (Gram and Schmidt, twice); what was left of each before it was given length 1.
pub(super) fn orthonormalise(frame: &mut [Vec<f64>]) -> Vec<f64> {
    let mut lengths = Vec::with_capacity(frame.len());
    for i in 0..frame.len() {
        let (before, rest) = frame.split_at_mut(i);
        let own = &mut rest[0];
        for _ in 0..2 {
            for other in before.iter() {
                let along = dot(other, own);
                own.iter_mut().zip(other).for_each(|(v, o)| *v -= along * o);
            }
        }
        let length = dot(own, own).sqrt();
        if length > 0.0 {
            own.iter_mut().for_each(|v| *v /= length);
        }
        lengths.push(length);
    }
    lengths
}

/// The largest modulus of the eigenvalues of `a` (n, n): the growth of its powers (Gelfand), which complex pairs and equal moduli don't disturb.
pub(super) fn spectral_radius(mut a: Vec<f64>, n: usize) -> f64 {
    // a^(2^k) = exp(log) times the matrix that is kept.
    let mut log = 0.0;
    for _ in 0..SQUARINGS {
        let size = dot(&a, &a).sqrt();
        if size == 0.0 || !size.is_finite() {
            return if size == 0.0 { 0.0 } else { f64::NAN };
        }
        a.iter_mut().for_each(|v| *v /= size);
        log = 2.0 * (log + size.ln());
        let square = |i: usize| (0..n).map(|k| a[i / n * n + k] * a[k * n + i % n]).sum();
        a = (0..n * n).map(square).collect();
    }
    let size = dot(&a, &a).sqrt();
    if size == 0.0 { 0.0 } else { ((log + size.ln()) / 2f64.powi(SQUARINGS as i32)).exp() }
}
