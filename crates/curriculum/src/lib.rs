//! How hard the prompts are at each training step: integers only, no tensors.
//!
//! A [`Curriculum`] holds three [`Ramp`]s: how many coordinates of x are in use, how many points a prompt has, and
//! how often the loop runs. [`Curriculum::at`] answers with the [`Stage`] of a step (Yang et al., arXiv 2311.12424,
//! section 4 and appendix).
//!
//! ```
//! use looped_curriculum::Ramp;
//! let points = Ramp { start: 11, end: 41, inc: 2, interval: 1000 };
//! assert_eq!(points.at(0), 11);
//! assert_eq!(points.at(1000), 13);
//! assert_eq!(points.at(1_000_000), 41);
//! ```

mod form;

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A value that rises by `inc` every `interval` steps, from `start` to at most `end`.
///
/// In a file a constant may be a number alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "form::Form")]
pub struct Ramp {
    /// Value at step 0.
    pub start: usize,
    /// Largest value.
    pub end: usize,
    /// Added every `interval` steps.
    pub inc: usize,
    /// Steps between two increments.
    pub interval: usize,
}

impl Ramp {
    /// A ramp that stays at `value`.
    #[must_use]
    pub const fn constant(value: usize) -> Self {
        Self { start: value, end: value, inc: 0, interval: 1 }
    }

    /// The value at `step` (counted from 0): min(end, start + inc * floor(step / interval)).
    #[must_use]
    pub fn at(&self, step: usize) -> usize {
        let rises = step / self.interval.max(1);
        self.start.saturating_add(self.inc.saturating_mul(rises)).min(self.end)
    }

    /// The first step after `step` with another value; nothing if this one stays.
    fn next_rise(&self, step: usize) -> Option<usize> {
        let interval = self.interval.max(1);
        let rises = self.inc > 0 && self.at(step) < self.end;
        if rises { (step / interval + 1).checked_mul(interval) } else { None }
    }
}

/// The three ramps of a training run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Curriculum {
    /// Coordinates of x (and of the weights) in use; the others are 0.
    pub dims: Ramp,
    /// Points in a prompt.
    pub points: Ramp,
    /// Loops of the model; not needed where something else draws them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Ramp")]
    pub loops: Option<Ramp>,
}

/// What a [`Curriculum`] asks for at one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Coordinates of x in use.
    pub dims: usize,
    /// Points in a prompt.
    pub points: usize,
    /// Loops of the model.
    pub loops: usize,
}

impl Curriculum {
    /// The stage of `step`, counted from 0; with one loop where the curriculum doesn't say how many.
    #[must_use]
    pub fn at(&self, step: usize) -> Stage {
        Stage {
            dims: self.dims.at(step),
            points: self.points.at(step),
            loops: self.loops.map_or(1, |ramp| ramp.at(step)),
        }
    }

    /// The stages of a training of `steps` steps, in order, each with its steps.
    ///
    /// ```
    /// use looped_curriculum::{Curriculum, Ramp};
    /// let loops = Ramp { start: 20, end: 30, inc: 10, interval: 500 };
    /// let curriculum = Curriculum { dims: Ramp::constant(5), points: Ramp::constant(11), loops: Some(loops) };
    /// let stages: Vec<_> = curriculum.stages(20_000).map(|(stage, steps)| (stage.loops, steps)).collect();
    /// assert_eq!(stages, [(20, 0..500), (30, 500..20_000)]);
    /// ```
    pub fn stages(&self, steps: usize) -> impl Iterator<Item = (Stage, Range<usize>)> {
        let mut step = 0;
        std::iter::from_fn(move || {
            let begin = step;
            let ramps = [Some(self.dims), Some(self.points), self.loops];
            let rises = ramps.into_iter().filter_map(|ramp| ramp?.next_rise(begin));
            step = rises.min().unwrap_or(steps).min(steps);
            (begin < steps).then(|| (self.at(begin), begin..step))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test is a panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The study's loops: 20 -> 30 by 2 every 500 steps.
    #[test]
    fn the_studys_loops() {
        let ramp = Ramp { start: 20, end: 30, inc: 2, interval: 500 };
        let seen: Vec<usize> = [0, 499, 500, 999, 1000, 2499, 2500, 20_000].map(|s| ramp.at(s)).to_vec();
        assert_eq!(seen, [20, 20, 22, 22, 24, 28, 30, 30]);
    }

    #[test]
    fn a_constant_is_a_number_and_a_ramp_a_table() {
        let read = |text: &str| serde_json::from_str::<Ramp>(text).map_err(|error| error.to_string());
        assert_eq!(read("8"), Ok(Ramp::constant(8)));
        assert_eq!(read(r#"{"start":8,"end":8}"#), Ok(Ramp::constant(8)));
        let ramp = Ramp { start: 2, end: 8, inc: 3, interval: 10 };
        assert_eq!(read(r#"{"start":2,"end":8,"inc":3,"interval":10}"#), Ok(ramp));
        for ramp in [ramp, Ramp::constant(5)] {
            assert_eq!(read(&serde_json::to_string(&ramp).unwrap()), Ok(ramp));
        }
        for (text, part) in [
            (
                r#"{"start":2,"end":8}"#,
                "inc is missing: from 2 to 8 it must be said by how much the value rises",
            ),
            (r#"{"start":2,"end":8,"inc":1}"#, "interval is missing"),
            (r#"{"start":2,"end":8,"inc":1,"interval":9,"every":3}"#, ""),
            (r#"{"start":2}"#, ""),
            ("-1", ""),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }

    proptest! {
        #[test]
        fn a_ramp_rises_and_stays_inside(start in 1usize..100, more in 0usize..100, inc in 0usize..9, interval in 1usize..99, step in 0usize..99_999) {
            let ramp = Ramp { start, end: start + more, inc, interval };
            prop_assert!(ramp.at(step) <= ramp.at(step + 1));
            prop_assert!((start..=start + more).contains(&ramp.at(step)));
        }

        #[test]
        fn stages_are_the_steps_of_one_value_each(
            ramps in prop::array::uniform3((1usize..9, 0usize..9, 0usize..4, 1usize..9)),
            steps in 0usize..80,
        ) {
            let [dims, points, loops] =
                ramps.map(|(start, more, inc, interval)| Ramp { start, end: start + more, inc, interval });
            let curriculum = Curriculum { dims, points, loops: Some(loops) };
            let stages: Vec<_> = curriculum.stages(steps).collect();
            let each: Vec<Stage> = stages.iter().flat_map(|(stage, steps)| steps.clone().map(|_| *stage)).collect();
            prop_assert_eq!(each, (0..steps).map(|step| curriculum.at(step)).collect::<Vec<_>>());
            prop_assert!(stages.windows(2).all(|pair| pair[0].1.end == pair[1].1.start && pair[0].0 != pair[1].0));
        }

        #[test]
        fn huge_values_do_not_overflow(step in proptest::num::usize::ANY, inc in proptest::num::usize::ANY) {
            let ramp = Ramp { start: 1, end: 7, inc, interval: 1 };
            prop_assert!(ramp.at(step) <= 7);
        }
    }
}
