//! What a program may rely on beyond results: threads, and the small ways in that your own loop takes.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::fs;
use std::sync::Arc;

use looped::config::ConfigError;
use looped::prelude::*;
use looped::study::{self, RunEnd};
use looped::train::{Checkpoint, How, Observer, Opened, Provenance, RunDir, TrainError, train};
use looped::{Baseline, Block, BlockConfig, Error, Inject, Injector, Kind, ParamStore, Part};

const QUICKSTART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments/quickstart_adam.toml");

fn experiment(settings: &[&str]) -> Experiment {
    let small = ["training.batch_size=4", "training.train_steps=6", "training.threads=1"];
    let settings: Vec<String> = small.iter().chain(settings).map(ToString::to_string).collect();
    looped::config::load(QUICKSTART, &settings).unwrap().experiment
}

fn trainer(settings: &[&str]) -> Trainer {
    Trainer::new(Arc::new(experiment(settings)), &Device::Cpu).unwrap()
}

/// Compiles or doesn't.
#[test]
fn what_is_built_may_go_to_another_thread_and_be_shared() {
    fn shared<T: Send + Sync + ?Sized>() {}
    shared::<Experiment>();
    shared::<Trainer>();
    shared::<Model>();
    shared::<ParamStore>();
    shared::<Updater>();
    shared::<Checkpoint>();
    shared::<Opened>();
    shared::<RunDir>();
    shared::<Evaluation>();
    shared::<Prompts>();
    shared::<Predictions>();
    shared::<Rng>();
    shared::<Box<dyn Block>>();
    shared::<Box<dyn BlockConfig>>();
    shared::<Box<dyn Injector>>();
    shared::<Box<dyn Inject>>();
    shared::<Box<dyn Task>>();
    shared::<Box<dyn Baseline>>();

    fn error<T: std::error::Error + Send + Sync + 'static>() {}
    error::<Error>();
    error::<ConfigError>();
    error::<TrainError>();
    error::<looped::weights::Error>();
}

#[test]
fn one_dependency_links_the_built_in_parts() {
    for (kind, tag) in [
        (Kind::Block, "transformer"),
        (Kind::Injector, "last_n"),
        (Kind::Task, "sparse_linear_regression"),
        (Kind::Baseline, "least_squares"),
        (Kind::Optimizer, "muon"),
        (Kind::Schedule, "wsd"),
        (Kind::Depth, "poisson_lognormal"),
        (Kind::Unroll, "implicit"),
        (Kind::LoopLoss, "exit_weighted"),
        (Kind::Regularizer, "jacobian"),
        (Kind::Engine, "fused"),
        (Kind::Engine, "cuda"),
        (Kind::Engine, "candle"),
    ] {
        assert!(Part::find(kind, tag).is_some(), "{tag}");
    }
}

/// As several processes do that share a batch: here each has all of it.
#[test]
fn two_halves_of_a_step_with_averaged_gradients_are_the_step() {
    let (mut whole, mut one, mut two) = (trainer(&[]), trainer(&[]), trainer(&[]));
    while !whole.is_done() {
        let stage = whole.experiment().training.curriculum.at(whole.steps_done());
        let expected = whole.step().unwrap();
        let [mut found, other] = [&mut one, &mut two].map(|half| half.gradients(stage).unwrap());
        for (gradient, other) in found.gradients.iter_mut().zip(other.gradients.iter()) {
            *gradient = 0.5 * (*gradient + other);
        }
        assert_eq!(one.apply(found.clone()).unwrap(), expected);
        assert_eq!(two.apply(found).unwrap(), expected);
    }
    let values = |trainer: &Trainer| looped::train::encode(&trainer.model().values().unwrap()).unwrap();
    assert!(values(&whole) == values(&one) && values(&one) == values(&two));
    // What isn't finite changes nothing.
    let stage = one.experiment().training.curriculum.at(0);
    let found = one.gradients(stage).unwrap();
    one.apply(looped::train::StepGradients { loss: f64::NAN, ..found }).unwrap_err();
    assert!(values(&one) == values(&two) && one.steps_done() == two.steps_done());
}

#[test]
fn a_schedule_of_ones_own_that_copies_the_experiments_gives_the_same_bits() {
    let (mut usual, mut own) =
        (trainer(&["training.learning_rate=3e-4"]), trainer(&["training.learning_rate=1.0"]));
    while !usual.is_done() {
        own.set_learning_rate(3e-4);
        let stage = own.experiment().training.curriculum.at(own.steps_done());
        assert_eq!(own.step_at(stage).unwrap(), usual.step().unwrap());
    }
    assert_eq!(own.learning_rate(), 3e-4);
    let values = |trainer: &Trainer| looped::train::encode(&trainer.model().values().unwrap()).unwrap();
    assert!(values(&own) == values(&usual));
}

#[test]
fn a_stage_that_the_model_has_no_room_for_is_refused_and_changes_nothing() {
    let mut trainer = trainer(&[]);
    let good = Stage { dims: 5, points: 11, loops: 2 };
    for (stage, message) in [
        (Stage { dims: 6, ..good }, "step 0: dims is 6; allowed: 1 to 5"),
        (Stage { points: 12, ..good }, "step 0: points is 12; allowed: 1 to 11"),
        (Stage { loops: 0, ..good }, "step 0: loops is 0; allowed: "),
    ] {
        let told = trainer.step_at(stage).unwrap_err().to_string();
        assert!(told.starts_with(message), "{told}");
    }
    assert_eq!(trainer.steps_done(), 0);
    trainer.step_at(good).unwrap();
}

#[test]
fn a_model_from_a_run_directory_predicts_as_the_one_that_was_trained() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let mut trainer = trainer(&["training.save_every_steps=2"]);
    let told = |path: &std::path::Path| Opened::newest(path, &Device::Cpu).err().unwrap().to_string();
    assert!(told(&folder).ends_with("run is not a run directory: it has no config.toml"));
    let run = RunDir::create(&folder, &trainer.experiment().to_toml().unwrap()).unwrap();
    assert!(
        told(&folder).contains("run has no checkpoint: it was stopped before its first, or has only begun")
    );
    train(&mut trainer, &run, &mut ()).unwrap();

    let prompt = Prompts::pairs(vec![0.5; 10], vec![1.0, -1.0], [1, 2, 5]);
    let expected = trainer.model().predict(&prompt, 3).unwrap();
    // The run is still held here: looking at it needs no lock.
    let opened = Opened::newest(&folder, &Device::Cpu).unwrap();
    assert_eq!(opened.trainer.model().predict(&prompt, 3).unwrap(), expected);
    assert_eq!(opened.trainer.steps_done(), 6);
    assert!(opened.from.ends_with("checkpoints/last") && opened.damaged.is_empty());

    fs::write(folder.join("checkpoints/last/model.safetensors"), "damaged").unwrap();
    let opened = Opened::newest(&folder, &Device::Cpu).unwrap();
    assert_eq!((opened.trainer.steps_done(), opened.damaged.len()), (4, 1));
    assert!(opened.damaged[0].to_string().contains("last/model.safetensors"));
}

/// Stops a run before the step of this number.
struct StopBefore(usize, bool);

impl Observer for StopBefore {
    fn stepped(&mut self, step: usize, _: f64) {
        self.1 = step + 1 >= self.0;
    }

    fn wants_stop(&self) -> bool {
        self.1
    }
}

#[test]
fn a_run_by_the_library_says_what_made_it_and_is_settled_as_one_by_the_program() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let open = looped::config::load(
        QUICKSTART,
        &["training.train_steps=6", "evaluation.prompts=16"].map(str::to_owned),
    );
    let open = Arc::new(open.unwrap().experiment);
    assert!(open.training.threads.is_none() && open.evaluation.loops.is_none());
    let ended = study::run(open, &folder, &Device::Cpu, &mut StopBefore(4, false)).unwrap();
    assert!(matches!(ended, RunEnd::Stopped));
    // As `looped resume RUN training.train_steps=8` does it.
    let longer = ["training.train_steps=8".to_owned()];
    let ended = study::resume_with(&folder, &longer, &Device::Cpu, &mut ()).unwrap();
    assert!(matches!(ended, RunEnd::Finished(_)));

    let made = Provenance::read(&folder).unwrap().unwrap();
    let told: Vec<_> = made
        .sessions
        .iter()
        .map(|s| (s.steps_done, s.engine.as_str(), s.end.as_ref().unwrap().how))
        .collect();
    assert_eq!(told, [(0, "fused", How::Stopped), (4, "fused", How::Finished)]);
    assert_eq!(made.sessions[1].changed[0].key, "training.train_steps");
    let settled = looped::config::load(folder.join("config.toml"), &[]).unwrap().experiment;
    let threads = std::thread::available_parallelism().unwrap().get();
    assert_eq!((settled.training.threads, settled.training.train_steps), (Some(threads), 8));
    assert!(settled.evaluation.loops.is_some());
    for page in ["report.md", "report.html"] {
        let text = fs::read_to_string(folder.join(page)).unwrap();
        assert!(text.contains("Trained by the fused engine on cpu."), "{page}");
    }
    // TensorBoard reads both sessions and the score, in one file.
    let events = || looped::report::tensorboard::newest(&folder).unwrap().unwrap();
    let kept = |step| looped::report::tensorboard::truncate_after(&events(), step).unwrap();
    let lines = fs::read_to_string(folder.join("metrics.jsonl")).unwrap().lines().count();
    assert_eq!(kept(u64::MAX), 1 + lines + 1, "the version, each record, and the score");
    assert!(fs::read(events()).unwrap().windows(16).any(|tag| tag == b"evaluation/model"));
    // Finished, and asked again: evaluated again, and noted; its score stands once.
    study::resume(&folder, &Device::Cpu, &mut ()).unwrap();
    assert_eq!(kept(u64::MAX), 1 + lines + 1);
}

#[test]
fn a_validation_takes_about_as_long_as_the_page_says() {
    let mut trainer = trainer(&["training.batch_size=64", "training.train_steps=1000"]);
    let least = |times: usize, work: &mut dyn FnMut()| {
        let time = |_| {
            let begun = std::time::Instant::now();
            work();
            begun.elapsed().as_secs_f64()
        };
        (0..times).map(time).fold(f64::INFINITY, f64::min)
    };
    let validation = least(5, &mut || assert!(trainer.validation_loss().unwrap().is_finite()));
    let step = least(20, &mut || assert!(trainer.step().unwrap().loss.is_finite()));
    let steps = validation / step;
    println!("a validation takes as long as {steps:.1} steps");
    assert!((1.0..15.0).contains(&steps), "docs/statistics.md says 5 steps; here {steps:.1}");
}
