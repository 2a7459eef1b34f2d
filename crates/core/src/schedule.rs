//! The learning rate over the steps of a training.

mod constant;
mod cosine;
mod linear;
mod wsd;

use std::fmt::Debug;

pub use constant::Constant;
pub use cosine::Cosine;
pub use linear::Linear;
pub use wsd::Wsd;

use crate::Problems;

/// A factor of `training.learning_rate` for each step. `type` in TOML is the typetag name.
#[typetag::serde(tag = "type")]
pub trait Schedule: Debug + Send + Sync {
    /// Reports settings that can't work in a training of `steps` steps; keys are relative to the schedule's table.
    fn validate(&self, steps: usize, problems: &mut Problems) {
        let _ = (steps, problems);
    }

    /// The factor of `step`, counted from 0, in a training of `steps` steps. It depends on nothing else, so that a resume is exact.
    fn factor(&self, step: usize, steps: usize) -> f64;
}

/// How much of a warm-up of `warmup` steps is done with `step`: 1/warmup at step 0, 1 at its last; nothing after it.
fn warming_up(step: usize, warmup: usize) -> Option<f64> {
    (step < warmup).then(|| (step + 1) as f64 / warmup as f64)
}

/// How much of the steps from `from` to the last of `steps` is done with `step`: 0 before `from`, 1 at the last.
fn progress(step: usize, from: usize, steps: usize) -> f64 {
    if step < from {
        return 0.0;
    }
    (((step + 1 - from) as f64) / (steps.saturating_sub(from).max(1) as f64)).min(1.0)
}

/// Reports parts that are longer than the whole training, and a factor that is none.
fn require_room(parts: &[(&str, usize)], last: f64, steps: usize, problems: &mut Problems) {
    let sum = parts.iter().fold(0usize, |sum, (_, part)| sum.saturating_add(*part));
    if sum > steps {
        let (key, length) = parts.iter().max_by_key(|(_, part)| *part).copied().unwrap_or_default();
        let others = sum.saturating_sub(length);
        let beside = if others > 0 { format!(", less {others} of the other part") } else { String::new() };
        problems.report(key, format!("is {length}; allowed: 0 to training.train_steps, {steps}{beside}"));
    }
    problems.require_in(last, 0.0..=1.0, "final");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(toml: &str, steps: usize) -> Vec<f64> {
        let schedule: Box<dyn Schedule> = serde_json::from_str(toml).unwrap();
        (0..steps).map(|step| schedule.factor(step, steps)).collect()
    }

    #[track_caller]
    fn assert_close(actual: &[f64], expected: &[f64]) {
        assert_eq!(actual.len(), expected.len());
        for (step, (a, b)) in actual.iter().zip(expected).enumerate() {
            assert!((a - b).abs() < 1e-15, "step {step}: {a}, expected {b}");
        }
    }

    #[test]
    fn constant_is_one_to_the_bit() {
        assert_eq!(factors(r#"{"type":"constant"}"#, 3), [1.0; 3]);
    }

    #[test]
    fn a_line_rises_falls_and_ends_at_its_last_factor() {
        let found = factors(r#"{"type":"linear","warmup":2,"final":0.2}"#, 6);
        assert_close(&found, &[0.5, 1.0, 0.8, 0.6, 0.4, 0.2]);
        assert_close(&factors(r#"{"type":"linear"}"#, 4), &[0.75, 0.5, 0.25, 0.0]);
    }

    #[test]
    fn a_cosine_is_halfway_in_the_middle() {
        let found = factors(r#"{"type":"cosine","warmup":1,"final":0.1}"#, 5);
        let quarter = 0.1 + 0.9 * 0.5 * (1.0 + 0.5f64.sqrt());
        assert_close(&found, &[1.0, quarter, 0.55, 1.1 - quarter, 0.1]);
    }

    #[test]
    fn wsd_stays_between_warming_up_and_its_decay() {
        let found = factors(r#"{"type":"wsd","warmup":2,"decay":2,"final":0.5}"#, 7);
        assert_close(&found, &[0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5]);
    }

    #[test]
    fn a_warm_up_of_the_whole_training_and_steps_beyond_it_have_a_factor() {
        for text in [
            r#"{"type":"linear","warmup":3}"#,
            r#"{"type":"cosine","warmup":3}"#,
            r#"{"type":"wsd","warmup":3,"decay":0}"#,
        ] {
            let schedule: Box<dyn Schedule> = serde_json::from_str(text).unwrap();
            assert_eq!(schedule.factor(2, 3), 1.0, "{text}");
            assert!((0.0..=1.0).contains(&schedule.factor(9, 3)), "{text}");
        }
    }

    #[test]
    fn what_is_longer_than_the_training_is_reported() {
        for (text, told) in [
            (r#"{"type":"linear","warmup":9}"#, "warmup: is 9; allowed: 0 to training.train_steps, 8"),
            (r#"{"type":"cosine","final":1.5}"#, "final: is 1.5; allowed: 0 to 1"),
            (
                r#"{"type":"wsd","warmup":2,"decay":7}"#,
                "decay: is 7; allowed: 0 to training.train_steps, 8, less 2 of the other part",
            ),
        ] {
            let schedule: Box<dyn Schedule> = serde_json::from_str(text).unwrap();
            let mut problems = Problems::new();
            schedule.validate(8, &mut problems);
            assert_eq!(problems.to_string(), told);
        }
    }
}
