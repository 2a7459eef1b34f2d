//! Baselines, tasks and tables with a mistake.

use looped_core::{
    Baseline, Injector, Prompt, Prompts, Request, Result, Rng, Task, register, schemars, typetag,
};
use looped_testing::{baseline_is_causal, is_registered, round_trips, task_is_seeded};
use serde::{Deserialize, Serialize};

use crate::fails;

/// What is wrong with [`WrongBaseline`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum BaselineFault {
    None,
    SeesItsOwnY,
    SeesTheNumberOfPoints,
    StartsAtOne,
    LeavesOutTheFirst,
    DividesByZero,
}

/// The mean of the y seen so far.
#[derive(Debug, Serialize, Deserialize)]
struct WrongBaseline {
    fault: BaselineFault,
}

#[typetag::serde(name = "wrong_baseline")]
impl Baseline for WrongBaseline {
    fn name(&self) -> String {
        "wrong".into()
    }

    fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
        let count = prompt.ys.len();
        let mean = |ys: &[f32]| ys.iter().sum::<f32>() / ys.len().max(1) as f32;
        let mut predictions: Vec<f32> = (0..count)
            .map(|i| match self.fault {
                BaselineFault::SeesItsOwnY if i > 0 => mean(&prompt.ys[..=i]),
                BaselineFault::SeesTheNumberOfPoints => mean(&prompt.ys[..i]) * count as f32,
                BaselineFault::StartsAtOne if i == 0 => 1.0,
                BaselineFault::DividesByZero => prompt.ys[..i].iter().sum::<f32>() / i as f32,
                _ => mean(&prompt.ys[..i]),
            })
            .collect();
        if self.fault == BaselineFault::LeavesOutTheFirst {
            predictions.remove(0);
        }
        Ok(predictions)
    }
}

#[test]
fn baselines() {
    let check = |fault| baseline_is_causal(&WrongBaseline { fault });
    check(BaselineFault::None);
    fails(
        || check(BaselineFault::SeesItsOwnY),
        &["prediction 1 depends on the value of the points from 1 on"],
    );
    fails(|| check(BaselineFault::SeesTheNumberOfPoints), &["prediction 1 depends on the number"]);
    fails(|| check(BaselineFault::StartsAtOne), &["isn't 0"]);
    fails(|| check(BaselineFault::LeavesOutTheFirst), &["as many predictions"]);
    fails(|| check(BaselineFault::DividesByZero), &["isn't finite"]);
}

/// What is wrong with [`WrongTask`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum TaskFault {
    None,
    IgnoresTheSeed,
    FillsEveryCoordinate,
    GivesOnePromptLess,
    DividesByZero,
}

/// y = 0 at x ~ N(0, I).
#[derive(Debug, Serialize, Deserialize)]
struct WrongTask {
    fault: TaskFault,
}

#[typetag::serde(name = "wrong_task")]
impl Task for WrongTask {
    fn sample(&self, request: Request, rng: &mut Rng) -> Result<Prompts> {
        let Request { points, dims, n_dims, .. } = request;
        let prompts = request.prompts - usize::from(self.fault == TaskFault::GivesOnePromptLess);
        if self.fault == TaskFault::IgnoresTheSeed {
            *rng = Rng::stream(0, "the same for all", 0);
        }
        let used = if self.fault == TaskFault::FillsEveryCoordinate { n_dims } else { dims };
        let mut xs = rng.normals(prompts * points * n_dims);
        xs.chunks_mut(n_dims).for_each(|x| x[used..].fill(0.0));
        let y = if self.fault == TaskFault::DividesByZero { f32::NAN } else { 0.0 };
        Ok(Prompts::pairs(xs, vec![y; prompts * points], [prompts, points, n_dims]))
    }
}

#[test]
fn tasks() {
    let check = |fault| task_is_seeded(&WrongTask { fault });
    check(TaskFault::None);
    fails(|| check(TaskFault::IgnoresTheSeed), &["another seed gives the same prompts"]);
    fails(|| check(TaskFault::FillsEveryCoordinate), &["beyond `dims`"]);
    fails(|| check(TaskFault::GivesOnePromptLess), &["the shape isn't the one asked for"]);
    fails(|| check(TaskFault::DividesByZero), &["isn't finite"]);
}

// No help.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
struct Mute {}

/// A key without help.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
struct MuteKey {
    key: usize,
}

/// Registered under another name than typetag's.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
struct Misnamed {}

macro_rules! baseline {
    ($config:ty, $tag:literal) => {
        #[typetag::serde(name = $tag)]
        impl Baseline for $config {
            fn name(&self) -> String {
                $tag.into()
            }

            fn predict(&self, prompt: Prompt<'_>) -> Result<Vec<f32>> {
                Ok(vec![0.0; prompt.ys.len()])
            }
        }
    };
}
baseline!(Mute, "mute");
baseline!(MuteKey, "mute_key");
baseline!(Misnamed, "misnamed");
register!(Baseline, "mute", Mute);
register!(Baseline, "mute_key", MuteKey);
register!(Baseline, "named", Misnamed);

#[test]
fn configs() {
    round_trips::<dyn Injector>(r#"{"type":"last_n","n":3}"#);
    is_registered::<dyn Injector>(r#"{"type":"last_n","n":3}"#);
    fails(|| round_trips::<dyn Baseline>(r#"{"type":"mute_key","key":1}"#), &["an unknown key is swallowed"]);
    fails(|| round_trips::<dyn Baseline>(r#"{"type":"mute_key","key":-1}"#), &["invalid value"]);
    fails(|| is_registered::<dyn Baseline>(r#"{"type":"mute"}"#), &["`mute` has no help"]);
    fails(|| is_registered::<dyn Baseline>(r#"{"type":"mute_key","key":1}"#), &["the key `key`"]);
    fails(|| is_registered::<dyn Baseline>(r#"{"type":"misnamed"}"#), &["`misnamed` is registered 0 times"]);
}
