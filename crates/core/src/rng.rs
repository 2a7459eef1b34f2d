//! Random numbers: every draw is the same on every machine.
//!
//! A generator is named by a seed, a purpose and an index: `Rng::stream(42, "prompts", step)`. Streams share nothing,
//! so a draw added in one place moves no number elsewhere, and the state to save for an exact resume is the step alone.
//! Normal values come from the Box-Muller transform over `libm`, whose results don't depend on the system's C library.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A seeded, counter-based generator.
#[derive(Clone, Debug)]
pub struct Rng {
    source: ChaCha8Rng,
    /// The second value of the last Box-Muller pair.
    spare: Option<f64>,
}

impl Rng {
    /// The generator of `purpose` under `seed`; `index` tells apart its repetitions (steps, say).
    #[must_use]
    pub fn stream(seed: u64, purpose: &str, index: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&fnv1a(purpose.as_bytes()).to_le_bytes());
        Self::of_key(key, index)
    }

    fn of_key(key: [u8; 32], index: u64) -> Self {
        let mut source = ChaCha8Rng::from_seed(key);
        source.set_stream(index);
        Self { source, spare: None }
    }

    /// A generator of its own for a part of what this one is for, as for a prompt of a step. It depends on how this one is named, and not on what was
    /// drawn from it.
    #[must_use]
    pub fn fork(&self, index: u64) -> Self {
        let mut key = self.source.get_seed();
        let name = [&key[..], &self.source.get_stream().to_le_bytes()].concat();
        key[16..24].copy_from_slice(&fnv1a(&name).to_le_bytes());
        Self::of_key(key, index)
    }

    /// The seed that this generator was named by.
    #[must_use]
    pub fn seed(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.source.get_seed();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        self.source.next_u64()
    }

    /// Uniform in [0, 1), in steps of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform over 0..n.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "Rng::below: there is no number below 0");
        // The multiply-shift map; its bias, n / 2^64, is far below what any sample can show.
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        if let Some(value) = self.spare.take() {
            return value;
        }
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        let angle = std::f64::consts::TAU * self.uniform();
        self.spare = Some(radius * libm::sin(angle));
        radius * libm::cos(angle)
    }

    /// `n` standard normal values.
    pub fn normals(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.normal() as f32).collect()
    }

    /// A random order of 0..n (Fisher-Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}

/// The 64-bit FNV-1a hash: stable, unlike the standard library's.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden values, computed once more by a program of a few lines in Python: a change here changes every result ever
    /// reported.
    #[test]
    fn streams_are_pinned() {
        let mut rng = Rng::stream(42, "prompts", 7);
        assert_eq!(rng.bits(), 0xc3e8_a5be_32d9_0717);
        assert_eq!(rng.uniform(), 0.051_313_436_363_365_605);
        assert_eq!(rng.below(1_000_000), 344_839);
        assert_eq!([rng.normal(), rng.normal()], [0.295_253_251_325_106_1, 0.479_415_322_106_278_96]);
        assert_eq!(rng.permutation(6), [1, 3, 4, 0, 5, 2]);
    }

    #[test]
    fn a_generator_knows_its_seed() {
        let mut rng = Rng::stream(0x0123_4567_89ab_cdef, "prompts", 7);
        rng.bits();
        assert_eq!([rng.seed(), rng.fork(3).seed()], [0x0123_4567_89ab_cdef; 2]);
    }

    #[test]
    fn streams_of_other_names_are_others() {
        assert_ne!(Rng::stream(42, "prompts", 7).bits(), Rng::stream(42, "prompts", 8).bits());
        assert_ne!(Rng::stream(42, "prompts", 7).bits(), Rng::stream(42, "weights", 7).bits());
        assert_ne!(Rng::stream(42, "prompts", 7).bits(), Rng::stream(43, "prompts", 7).bits());
        let fork = |step, part| Rng::stream(42, "prompts", step).fork(part).bits();
        assert_ne!(Rng::stream(42, "prompts", 7).bits(), fork(7, 7));
        assert_ne!(fork(7, 1), fork(7, 0));
        assert_ne!(fork(7, 0), fork(8, 0));
    }

    #[test]
    fn moments_of_normal_and_uniform() {
        let mut rng = Rng::stream(1, "test", 0);
        let n = 200_000;
        let (mut mean, mut square, mut fourth, mut uniform) = (0.0, 0.0, 0.0, 0.0);
        for _ in 0..n {
            let z = rng.normal();
            mean += z;
            square += z * z;
            fourth += z.powi(4);
            uniform += rng.uniform();
        }
        let n = f64::from(n);
        // Bounds of about 4.5 standard errors.
        assert!((mean / n).abs() < 0.01);
        assert!((square / n - 1.0).abs() < 0.015);
        assert!((fourth / n - 3.0).abs() < 0.1);
        assert!((uniform / n - 0.5).abs() < 0.003);
    }

    #[test]
    fn permutations_hold_every_index_once() {
        let mut order = Rng::stream(3, "test", 0).permutation(50);
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }
}
