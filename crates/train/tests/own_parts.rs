//! A depth, schedule, unroll, loss and regulariser of one's own: named in a file, they train, and a resume is exact.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;
use std::sync::Arc;

use common::tiny;
use looped_config::Experiment;
use looped_core::{
    Body, Counting, Depth, LoopLoss, LoopPlan, Regularizer, Request, Rng, Schedule, Share, Split, StepLoops,
    StepWork, Unroll, schemars, typetag,
};
use looped_testing::{is_registered, round_trips};
use looped_train::{Gradients, StepPlan, Trainer, encode};
use serde::{Deserialize, Serialize};

/// The curriculum's loops, and up to so many more.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct RampAndMore {
    /// Most loops beyond the curriculum's.
    more: usize,
}

#[typetag::serde(name = "ramp_and_more")]
impl Depth for RampAndMore {
    fn follows_curriculum(&self) -> bool {
        true
    }

    fn draw(&self, ramp: usize, rng: &mut Rng) -> usize {
        ramp + rng.below(self.more + 1)
    }

    fn most(&self, ramp: usize) -> usize {
        ramp + self.more
    }
}
looped_core::register!(Depth, "ramp_and_more", RampAndMore);

/// Halves the rate every so many steps.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Halving {
    /// Steps from one halving to the next.
    every: usize,
}

#[typetag::serde(name = "halving")]
impl Schedule for Halving {
    fn factor(&self, step: usize, _: usize) -> f64 {
        0.5f64.powi((step / self.every) as i32)
    }
}
looped_core::register!(Schedule, "halving", Halving);

/// Each loop gets the gradient of its own prediction alone.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Greedy {}

#[typetag::serde(name = "greedy")]
impl Unroll for Greedy {
    fn slots(&self, _: usize, _: usize) -> usize {
        1
    }

    fn work(&self, loops: usize, _: usize) -> StepWork {
        StepWork::pass(loops as f64, loops as f64)
    }

    fn run(&self, step: &StepLoops, counting: &Counting<'_>, body: &mut dyn Body) -> f64 {
        let mut sum = 0.0;
        body.start(false);
        for index in 0..step.loops {
            let slot = body.record();
            let state = body.state();
            sum += counting.read(index, step.loops, slot, body);
            body.backward(slot);
            body.rewind(slot);
            body.set_state(&state);
            body.with_gradient(&mut |d| d.fill(0.0));
        }
        body.finish();
        sum
    }
}
looped_core::register!(Unroll, "greedy", Greedy);

/// The first and the last of the loops with gradient, in two parts.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ends {
    /// How much the first counts; the last has the rest.
    first: f64,
}

#[typetag::serde(name = "ends")]
impl LoopLoss for Ends {
    fn share(&self, index: usize, window: usize, _: Option<usize>) -> Option<Share> {
        let of = |part| Some(Share { of: part, among: 1 });
        match index {
            0 if window > 1 => of(self.first),
            _ if index + 1 == window => of(if window > 1 { 1.0 - self.first } else { 1.0 }),
            _ => None,
        }
    }
}
looped_core::register!(LoopLoss, "ends", Ends);

/// The mean square of the last state.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct SmallState {
    /// How much it counts.
    weight: f64,
}

#[typetag::serde(name = "small_state")]
impl Regularizer for SmallState {
    fn work(&self) -> StepWork {
        StepWork::default()
    }

    fn add(&self, body: &mut dyn Body, _: usize, _: &mut Rng) -> f64 {
        let (prompts, state) = (body.prompts().len(), body.state());
        let each = state.len() / prompts;
        let square = |own: &[f32]| own.iter().map(|z| f64::from(z * z)).sum::<f64>() / each as f64;
        let of_prompts: Vec<f64> = state.chunks_exact(each).map(square).collect();
        body.note("mean_square", &of_prompts);
        let factor = self.weight / body.prompts_of_step() as f64;
        let slope = (2.0 * factor / each as f64) as f32;
        body.with_gradient(&mut |d| d.iter_mut().zip(&state).for_each(|(d, z)| *d += slope * z));
        factor * of_prompts.iter().sum::<f64>()
    }
}
looped_core::register!(Regularizer, "small_state", SmallState);

/// [`tiny`] with these lines below `[training]`, read as a file is.
fn read(lines: &str) -> Arc<Experiment> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tiny.json"), tiny().to_string()).unwrap();
    let path = folder.path().join("own.toml");
    fs::write(&path, format!("extends = \"tiny.json\"\n\n[training]\n{lines}\n")).unwrap();
    Arc::new(looped_config::load(&path, &[]).unwrap().experiment)
}

fn trainer(experiment: &Arc<Experiment>) -> Trainer {
    Trainer::new(Arc::clone(experiment), looped_testing::device()).unwrap()
}

const OWN: &str = r#"
depth = { type = "ramp_and_more", more = 3 }
schedule = { type = "halving", every = 5 }
unroll = { type = "greedy" }
loss = { type = "ends", first = 0.25 }
"#;

#[test]
fn parts_of_ones_own_are_registered_like_the_built_in_ones() {
    is_registered::<dyn Depth>(r#"{"type":"ramp_and_more","more":3}"#);
    round_trips::<dyn Depth>(r#"{"type":"ramp_and_more","more":3}"#);
    is_registered::<dyn Schedule>(r#"{"type":"halving","every":5}"#);
    round_trips::<dyn Schedule>(r#"{"type":"halving","every":5}"#);
    is_registered::<dyn Unroll>(r#"{"type":"greedy"}"#);
    round_trips::<dyn Unroll>(r#"{"type":"greedy"}"#);
    is_registered::<dyn LoopLoss>(r#"{"type":"ends","first":0.25}"#);
    round_trips::<dyn LoopLoss>(r#"{"type":"ends","first":0.25}"#);
    is_registered::<dyn Regularizer>(r#"{"type":"small_state","weight":0.5}"#);
    round_trips::<dyn Regularizer>(r#"{"type":"small_state","weight":0.5}"#);
}

/// The loss and gradient of a pass of so many loops of which the last alone has gradient, on the present step's prompts.
fn of_one_loop(trainer: &Trainer, loops: usize) -> (f64, Gradients) {
    let (experiment, step) = (trainer.experiment(), trainer.steps_done() as u64);
    let (stage, prompts) = (trainer.stage(), experiment.training.batch_size);
    let request = Request {
        prompts,
        points: stage.points,
        dims: stage.dims,
        n_dims: experiment.model.n_dims,
        first: step * prompts as u64,
        split: Split::Train,
    };
    let mut rng = Rng::stream(experiment.seed, "training prompts", step);
    let prompts = experiment.task.sample(request, &mut rng).unwrap();
    let objective = experiment.task.objective();
    let plan = StepPlan { loops: LoopPlan { loops, window: 1 }, loss_loops: 1, objective };
    trainer.model().loss_and_gradients(&prompts, plan).unwrap()
}

#[test]
fn a_files_own_depth_schedule_unroll_and_loss_are_what_trains() {
    let experiment = read(OWN);
    let mut trainer = trainer(&experiment);
    let mut beyond = 0;
    for step in 0..12 {
        let (stage, ramp) = (trainer.stage(), experiment.training.curriculum.at(step).loops);
        assert!((ramp..=ramp + 3).contains(&stage.loops), "step {step}: {} loops", stage.loops);
        beyond += stage.loops - ramp;

        // The first and the last loop, each by itself.
        let (first, last) = (of_one_loop(&trainer, 1), of_one_loop(&trainer, stage.loops));
        let found = trainer.gradients(stage).unwrap();
        assert!((found.loss - (0.25 * first.0 + 0.75 * last.0)).abs() < 1e-6 * found.loss, "step {step}");
        let size = found.gradients.iter().fold(0f32, |most, g| most.max(g.abs()));
        for ((found, first), last) in found.gradients.iter().zip(first.1.iter()).zip(last.1.iter()) {
            assert!((found - (0.25 * first + 0.75 * last)).abs() < 1e-5 * size, "step {step}");
        }

        let rate = trainer.step().unwrap().learning_rate;
        assert_eq!(rate, 1e-3 * [1.0, 0.5, 0.25][step / 5], "step {step}");
    }
    assert!(beyond > 0, "no step was deeper than the curriculum");
}

#[test]
fn a_files_own_regularizer_joins_the_loss_and_the_gradient() {
    let [mut plain, mut own] =
        ["", "regularizers = [{ type = \"small_state\", weight = 0.5 }]"].map(|lines| trainer(&read(lines)));
    let stage = own.stage();
    let (without, with) = (plain.gradients(stage).unwrap(), own.gradients(stage).unwrap());
    let mean = with.notes["mean_square"];
    assert!(mean > 0.0 && (with.loss - without.loss - 0.5 * mean).abs() < 1e-6 * with.loss, "{with:?}");
    // Along the gradient of what was added, a small step makes that smaller by the square of its length.
    let values = own.model().parameters();
    let slopes: Vec<f32> = with.gradients.iter().zip(without.gradients.iter()).map(|(a, b)| a - b).collect();
    let (square, step) = (slopes.iter().map(|s| f64::from(s * s)).sum::<f64>(), 1e-3 / 0.5);
    values.values_mut().iter_mut().zip(&slopes).for_each(|(value, slope)| *value -= step as f32 * slope);
    let after = own.gradients(stage).unwrap().notes["mean_square"];
    let (fell, expected) = (0.5 * (mean - after), step * square);
    assert!((fell / expected - 1.0).abs() < 0.1, "{fell}, expected {expected}");
}

#[test]
fn a_resume_with_parts_of_ones_own_is_exact() {
    let regularized = r#"
depth = { type = "ramp_and_more", more = 3 }
regularizers = [{ type = "small_state", weight = 0.5 }]
"#;
    for lines in [OWN, regularized] {
        let experiment = read(lines);
        let end = |trainer: &Trainer| encode(&trainer.model().values().unwrap()).unwrap();
        let mut whole = trainer(&experiment);
        (0..12).for_each(|_| _ = whole.step().unwrap());
        let mut first = trainer(&experiment);
        (0..7).for_each(|_| _ = first.step().unwrap());
        let mut second = trainer(&experiment);
        second.restore(&first.checkpoint().unwrap()).unwrap();
        (7..12).for_each(|_| _ = second.step().unwrap());
        assert!(end(&second) == end(&whole), "{lines}");
    }
}
