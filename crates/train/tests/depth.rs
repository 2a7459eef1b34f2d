//! Drawn depths, unrolls and losses: what they are, that a resume is exact, and what they cost.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::collections::BTreeSet;

use candle_core::Device;
use common::{experiment, tiny, trainer};
use looped_core::{LoopPlan, Request, Rng, Split, StepWork};
use looped_train::{Checkpoint, Cost, Gradients, StepPlan, Trainer, encode, resolve};
use serde_json::{Value, json};

const DEPTHS: [&str; 3] = [
    r#"{ "type": "uniform", "from": 2, "to": 6 }"#,
    r#"{ "type": "set", "loops": [2, 5] }"#,
    r#"{ "type": "poisson_lognormal", "mean": 3.0, "sigma": 0.5, "most": 9 }"#,
];

/// [`tiny`] with some keys of `training`, of 12 steps.
fn with(keys: &[(&str, Value)]) -> Value {
    let mut table = tiny();
    for (key, value) in keys {
        table["training"][key] = value.clone();
    }
    table
}

fn part(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// All that a checkpoint's files would hold.
fn bytes(trainer: &Trainer) -> [Vec<u8>; 3] {
    let Checkpoint { model, optimizer, state, .. } = trainer.checkpoint().unwrap();
    [encode(&model).unwrap(), encode(&optimizer).unwrap(), serde_json::to_vec(&state).unwrap()]
}

fn weights(trainer: &Trainer) -> Vec<u8> {
    encode(&trainer.model().values().unwrap()).unwrap()
}

#[test]
fn the_loops_of_a_step_depend_on_seed_and_step_alone_and_a_resume_is_exact() {
    for depth in DEPTHS {
        for (unroll, loss) in [
            (json!({ "type": "implicit", "products": 4 }), json!({ "type": "last" })),
            (json!({ "type": "last" }), json!({ "type": "exit_weighted" })),
            (json!({ "type": "last" }), json!({ "type": "uniform" })),
            (json!({ "type": "random_prefix" }), json!({ "type": "last" })),
            (json!({ "type": "last" }), json!({ "type": "progressive", "alpha": 0.5 })),
            (json!({ "type": "phantom", "loops": 2, "damping": 0.5 }), json!({ "type": "last" })),
        ] {
            let regularizers =
                json!([{ "type": "jacobian", "weight": 0.1 }, { "type": "fixed_point", "weight": 0.1 }]);
            let each = json!(depth.contains("uniform") && loss["type"] == "last");
            let window = json!(if unroll["type"] == "implicit" { 1 } else { 2 });
            let gate = loss["type"] == "exit_weighted";
            let what = format!("{depth}, {unroll}, {loss}");
            let mut table = with(&[
                ("depth", part(depth)),
                ("unroll", unroll),
                ("loss", loss),
                ("regularizers", regularizers),
                ("depth_per_prompt", each),
                ("n_loop_window", window),
            ]);
            if gate {
                table["model"]["exit_gate"] = json!({});
            }
            let mut whole = trainer(table.clone());
            let loops: Vec<usize> = (0..12).map(|_| whole.step().unwrap().stage.loops).collect();
            assert!(loops.iter().collect::<BTreeSet<_>>().len() > 1, "{what}: {loops:?}");
            let all = experiment(table.clone());
            assert_eq!((0..12).map(|step| all.stage(step).loops).collect::<Vec<_>>(), loops);
            let mut reseeded = table.clone();
            reseeded["seed"] = 4.into();
            let reseeded = experiment(reseeded);
            assert_ne!((0..12).map(|step| reseeded.stage(step).loops).collect::<Vec<_>>(), loops, "{what}");
            let mut first = trainer(table.clone());
            (0..7).for_each(|_| _ = first.step().unwrap());
            let mut second = trainer(table);
            second.restore(&first.checkpoint().unwrap()).unwrap();
            (7..12).for_each(|_| _ = second.step().unwrap());
            assert!(bytes(&second) == bytes(&whole), "{what}");
        }
    }
}

#[test]
fn what_is_named_by_its_default_is_what_is_done_without_a_name() {
    let run = |table| {
        let mut trainer = trainer(table);
        (0..12).for_each(|_| _ = trainer.step().unwrap());
        weights(&trainer)
    };
    let of = |name: &str| json!({ "type": name });
    let named = with(&[("depth", of("ramp")), ("unroll", of("last")), ("loss", of("uniform"))]);
    assert!(run(named) == run(tiny()));
    assert!(run(with(&[("loss", of("last"))])) == run(with(&[("n_loss_loops", 1.into())])));
    assert!(run(with(&[("loss", of("last"))])) != run(tiny()));
}

/// The present step's loss and gradient by hand, for a pass of so many loops of which the last `window` carry gradient.
fn by_hand(trainer: &Trainer, loops: usize, window: usize) -> (f64, Gradients) {
    let (experiment, step) = (trainer.experiment(), trainer.steps_done() as u64);
    let (stage, count) = (trainer.stage(), experiment.training.batch_size);
    let request = Request {
        prompts: count,
        points: stage.points,
        dims: stage.dims,
        n_dims: experiment.model.n_dims,
        first: step * count as u64,
        split: Split::Train,
    };
    let mut rng = Rng::stream(experiment.seed, "training prompts", step);
    let prompts = experiment.task.sample(request, &mut rng).unwrap();
    let objective = experiment.task.objective();
    let plan = StepPlan { loops: LoopPlan { loops, window }, loss_loops: 1, objective };
    trainer.model().loss_and_gradients(&prompts, plan).unwrap()
}

/// What the step draws for its random prefix: loops without and with gradient.
fn prefix(trainer: &Trainer, window: usize) -> (usize, usize) {
    let seed = trainer.experiment().seed;
    let mut rng = Rng::stream(seed, "training unroll", trainer.steps_done() as u64);
    let loops = trainer.stage().loops;
    let without = rng.below(loops);
    (without, 1 + rng.below((loops - without).min(window)))
}

#[test]
fn a_random_prefix_has_no_gradient_and_the_progressive_loss_is_its_two_terms() {
    let depth = json!({ "type": "uniform", "from": 3, "to": 6 });
    let (alpha, window) = (0.25, 4);
    let keys = [("depth", depth), ("n_loop_window", window.into())];
    let prefixed = [("unroll", json!({ "type": "random_prefix" })), ("loss", json!({ "type": "last" }))];
    let progressive = [("loss", json!({ "type": "progressive", "alpha": alpha }))];
    let mut prefixed = trainer(with(&[&keys[..], &prefixed[..]].concat()));
    let mut progressive = trainer(with(&[&keys[..], &progressive[..]].concat()));
    let mut drawn = BTreeSet::new();
    for _ in 0..8 {
        let (without, with) = prefix(&prefixed, window);
        drawn.insert((without, with));
        assert!((1..=window).contains(&with) && without + with <= prefixed.stage().loops);
        let (loss, expected) = by_hand(&prefixed, without + with, with);
        let found = prefixed.gradients(prefixed.stage()).unwrap();
        assert_eq!(found.loss, loss);
        assert_eq!(found.gradients, expected);
        prefixed.step().unwrap();

        let whole = by_hand(&progressive, progressive.stage().loops, window);
        let part = by_hand(&progressive, without + with, with);
        let found = progressive.gradients(progressive.stage()).unwrap();
        assert!((found.loss - ((1.0 - alpha) * whole.0 + alpha * part.0)).abs() < 1e-6 * found.loss);
        for ((place, found), ((_, whole), (_, part))) in
            found.gradients.named().zip(whole.1.named().zip(part.1.named()))
        {
            for ((found, whole), part) in found.iter().zip(whole).zip(part) {
                let expected = 0.75 * whole + 0.25 * part;
                let size = whole.abs() + part.abs();
                assert!((found - expected).abs() <= 1e-5 * size + 1e-8, "{}: {found} {expected}", place.name);
            }
        }
        progressive.step().unwrap();
    }
    assert!(drawn.len() > 3, "{drawn:?}");
}

/// Over all that can be drawn, each as likely as it is.
#[test]
fn the_expected_passes_are_the_mean_over_all_draws() {
    for window in 1..=5 {
        for loops in 1..=7 {
            let of = |keys: &[(&str, Value)]| {
                let keys = [keys, &[("n_loop_window", window.into())]].concat();
                let StepWork { passes, loops, backward } = experiment(with(&keys)).training.work(loops);
                [passes, loops, backward]
            };
            let (mut all, mut with_gradient) = (0.0, 0.0);
            for without in 0..loops {
                let most = (loops - without).min(window);
                for with in 1..=most {
                    let share = 1.0 / (loops * most) as f64;
                    all += share * (without + with) as f64;
                    with_gradient += share * with as f64;
                }
            }
            let close = |found: [f64; 3], expected: [f64; 3]| {
                assert!(
                    found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12),
                    "{found:?} {expected:?}"
                );
            };
            let (m, k) = (loops as f64, window.min(loops) as f64);
            close(of(&[]), [1.0, m, k]);
            close(of(&[("unroll", json!({ "type": "random_prefix" }))]), [1.0, all, with_gradient]);
            let progressive = |alpha: f64| of(&[("loss", json!({ "type": "progressive", "alpha": alpha }))]);
            close(progressive(0.5), [2.0, m + all, k + with_gradient]);
            close(progressive(0.0), [1.0, m, k]);
            close(progressive(1.0), [1.0, all, with_gradient]);
        }
    }
}

#[test]
fn flops_are_the_mean_over_the_depths_and_memory_is_of_the_deepest() {
    let cost = |keys: &[(&str, Value)]| Cost::of(&experiment(with(keys))).unwrap();
    let at = |loops: usize| cost(&[("depth", json!({ "type": "set", "loops": [loops] }))]);
    let mixed = cost(&[("depth", json!({ "type": "set", "loops": [2, 2, 5, 7] }))]);
    let mean = (2.0 * at(2).flops + at(5).flops + at(7).flops) / 4.0;
    assert!((mixed.flops / mean - 1.0).abs() < 1e-12, "{} {mean}", mixed.flops);
    assert_eq!(mixed.memory, at(7).memory);
    // A ramp of one value is that value.
    let mut ramp = tiny();
    ramp["training"]["curriculum"]["loops"] = 5.into();
    assert_eq!(Cost::of(&experiment(ramp)).unwrap().flops, at(5).flops);
    let poisson = part(r#"{ "type": "poisson_lognormal", "mean": 4.0, "sigma": 0.5, "most": 100 }"#);
    let mean = cost(&[("depth", poisson), ("n_loop_window", 1.into())]).flops;
    let five = cost(&[("depth", json!({ "type": "set", "loops": [5] })), ("n_loop_window", 1.into())]).flops;
    assert!((mean / five - 1.0).abs() < 0.05, "{mean} and {five}");
}

#[test]
fn a_model_of_drawn_depths_is_evaluated_at_the_most_of_them_or_at_their_mean() {
    for (depth, loops) in DEPTHS.into_iter().zip([6, 5, 4]) {
        let table = with(&[("depth", part(depth))]);
        let mut experiment: looped_config::Experiment = serde_json::from_value(table).unwrap();
        resolve(&mut experiment, &Device::Cpu).unwrap();
        assert_eq!(experiment.evaluation.loops, Some(loops), "{depth}");
    }
}

/// Each prompt's gradient is that of its own depth.
#[test]
fn a_depth_of_each_prompt_is_the_mean_over_the_prompts_of_their_own() {
    let depth = json!({ "type": "uniform", "from": 2, "to": 5 });
    let table =
        with(&[("depth", depth), ("depth_per_prompt", true.into()), ("loss", json!({ "type": "last" }))]);
    let mut trainer = trainer(table);
    let experiment = experiment(serde_json::to_value(trainer.experiment()).unwrap());
    let depths = experiment.depths(0).unwrap();
    assert!(depths.iter().collect::<BTreeSet<_>>().len() > 1, "{depths:?}");
    let stage = trainer.stage();
    assert_eq!(stage.loops, *depths.iter().max().unwrap());
    let (step, count) = (0, experiment.training.batch_size);
    let request = Request {
        prompts: count,
        points: stage.points,
        dims: stage.dims,
        n_dims: experiment.model.n_dims,
        first: 0,
        split: Split::Train,
    };
    let mut rng = Rng::stream(experiment.seed, "training prompts", step);
    let prompts = experiment.task.sample(request, &mut rng).unwrap();
    let objective = experiment.task.objective();
    let (mut loss, mut sums) = (0.0, None::<Gradients>);
    for (i, loops) in depths.iter().enumerate() {
        let plan = StepPlan { loops: LoopPlan { loops: *loops, window: 2 }, loss_loops: 1, objective };
        let (own, gradients) = trainer.model().loss_and_gradients(&prompts.slice(i..i + 1), plan).unwrap();
        loss += own / count as f64;
        let mut sum = sums.take().unwrap_or_else(|| Gradients::zeros(gradients.layout().clone()));
        sum.iter_mut().zip(gradients.iter()).for_each(|(sum, own)| *sum += own / count as f32);
        sums = Some(sum);
    }
    let found = trainer.gradients(stage).unwrap();
    assert!((found.loss - loss).abs() < 1e-6 * loss, "{} {loss}", found.loss);
    for (found, expected) in found.gradients.iter().zip(sums.unwrap().iter()) {
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}
