//! How often the model loops at each step of a training.

mod poisson_lognormal;
mod ramp;
mod set;
mod uniform;

use std::fmt::Debug;

pub use poisson_lognormal::PoissonLognormal;
pub use ramp::RampDepth;
pub use set::SetDepth;
pub use uniform::UniformDepth;

use crate::{Problems, Rng};

/// Nobody loops so often; a training's loops can be counted up to here.
pub const MOST_LOOPS: usize = 1_000_000;

/// Draws that a mean is taken over where there is no closed form.
const DRAWS: u64 = 4096;

/// How the loops of a step are drawn: one number for its whole batch. `type` in TOML is the typetag name.
///
/// `ramp` is what `training.curriculum.loops` says at the step, or 1 where it isn't given.
#[typetag::serde(tag = "type")]
pub trait Depth: Debug + Send + Sync {
    /// Reports settings that can't work; keys are relative to the depth's table.
    fn validate(&self, problems: &mut Problems) {
        let _ = problems;
    }

    /// Whether it goes by `training.curriculum.loops`, which must be given then.
    fn follows_curriculum(&self) -> bool {
        false
    }

    /// The loops of a step, at least 1. `rng` is the step's own, so that a resume is exact.
    fn draw(&self, ramp: usize, rng: &mut Rng) -> usize;

    /// The most that it draws.
    fn most(&self, ramp: usize) -> usize;

    /// The loops at which a model is validated and evaluated, unless `evaluation.loops` says otherwise.
    fn usual(&self, ramp: usize) -> usize {
        self.most(ramp)
    }

    /// The mean of a function of the loops: over some thousand draws, unless there is a closed form.
    fn mean(&self, ramp: usize, of: &dyn Fn(usize) -> f64) -> f64 {
        let draw = |index| of(self.draw(ramp, &mut Rng::stream(0, "mean depth", index)));
        (0..DRAWS).map(draw).sum::<f64>() / DRAWS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(toml: &str) -> Box<dyn Depth> {
        serde_json::from_str(toml).unwrap()
    }

    fn drawn(depth: &dyn Depth, count: u64) -> Vec<usize> {
        (0..count).map(|step| depth.draw(7, &mut Rng::stream(3, "training depth", step))).collect()
    }

    #[test]
    fn a_ramp_is_the_curriculums() {
        let ramp = depth(r#"{"type":"ramp"}"#);
        assert_eq!(drawn(&*ramp, 3), [7; 3]);
        assert_eq!((ramp.most(7), ramp.usual(7), ramp.mean(7, &|l| l as f64)), (7, 7, 7.0));
    }

    /// The share of each number is within 4.5 standard errors, and a mean is that of the shares.
    #[test]
    fn uniform_and_set_give_each_of_their_numbers_its_share() {
        for (text, expected) in [
            (r#"{"type":"uniform","from":4,"to":6}"#, &[(4, 1.0 / 3.0), (5, 1.0 / 3.0), (6, 1.0 / 3.0)][..]),
            (r#"{"type":"set","loops":[2,9,9,30]}"#, &[(2, 0.25), (9, 0.5), (30, 0.25)]),
        ] {
            let (depth, count) = (depth(text), 9000);
            let drawn = drawn(&*depth, count);
            let squares: f64 = expected.iter().map(|&(loops, share)| share * (loops * loops) as f64).sum();
            assert!((depth.mean(7, &|loops| (loops * loops) as f64) - squares).abs() < 1e-9, "{text}");
            let mut all = 0;
            for &(loops, share) in expected {
                let found = drawn.iter().filter(|&&l| l == loops).count();
                all += found;
                let error = (share * (1.0 - share) / count as f64).sqrt();
                assert!((found as f64 / count as f64 - share).abs() < 4.5 * error, "{text}: {loops} {found}");
            }
            assert_eq!((all, depth.most(7)), (count as usize, expected.last().unwrap().0), "{text}");
        }
    }

    /// Mean and variance of 1 + Poisson(LogNormal): 1 + m, and m + m^2 (exp(sigma^2) - 1).
    #[test]
    fn a_poisson_of_a_lognormal_has_its_mean_and_variance() {
        let depth = depth(r#"{"type":"poisson_lognormal","mean":8.0,"sigma":0.5,"most":1000}"#);
        let (count, drawn) = (40_000, drawn(&*depth, 40_000));
        let mean = drawn.iter().sum::<usize>() as f64 / f64::from(count);
        let variance = drawn.iter().map(|&l| (l as f64 - mean).powi(2)).sum::<f64>() / f64::from(count);
        let expected = 8.0 + 64.0 * (0.25f64.exp() - 1.0);
        assert!((mean - 9.0).abs() < 4.5 * (expected / f64::from(count)).sqrt(), "{mean}");
        assert!((variance / expected - 1.0).abs() < 0.08, "{variance}, expected {expected}");
        assert!((depth.mean(1, &|loops| loops as f64) - 9.0).abs() < 4.5 * (expected / 4096.0).sqrt());
        assert_eq!((depth.most(1), depth.usual(1)), (1000, 9));
    }

    #[test]
    fn a_poisson_is_cut_at_its_most_and_is_one_at_least() {
        let depth = depth(r#"{"type":"poisson_lognormal","mean":3.0,"sigma":1.5,"most":5}"#);
        let drawn = drawn(&*depth, 4000);
        assert!(drawn.iter().all(|l| (1..=5).contains(l)) && drawn.contains(&1) && drawn.contains(&5));
        assert_eq!(depth.usual(1), 4);
    }

    #[test]
    fn settings_that_can_not_work_are_reported() {
        for (text, told) in [
            (r#"{"type":"uniform","from":5,"to":4}"#, "to: is 4; allowed: from, 5, to 1000000"),
            (r#"{"type":"uniform","from":0,"to":4}"#, "from: is 0; allowed: 1 to 1000000"),
            (r#"{"type":"set","loops":[]}"#, "loops: has 0 items; needed: at least 1"),
            (r#"{"type":"set","loops":[3,0]}"#, "loops.1: is 0; allowed: 1 to 1000000"),
            (
                r#"{"type":"poisson_lognormal","mean":9.0,"sigma":-1.0,"most":8}"#,
                "sigma: is -1; allowed: 0 to 10\nmean: is 9; allowed: above 0, at most `most`, 8",
            ),
        ] {
            let mut problems = Problems::new();
            depth(text).validate(&mut problems);
            assert_eq!(problems.to_string(), told);
        }
    }
}
