//! Sweeps by a program of your own: planned, run in threads, stopped and resumed.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::fs;
use std::path::Path;

use looped_config::sweep::Sweep;
use looped_core::{Device, Tensor};
use looped_study::sweep::{
    InThreads, Plan, PlannedRun, RunState, SweepEvent, SweepFolder, SweepObserver, SweepOutcome, carry_out,
};
use looped_study::{Comparison, ReportContext};
use serde_json::Value;
use {looped_blocks as _, looped_tasks as _};

const TINY: &str = r#"
name = "tiny"
task = { type = "linear_regression" }
model = { n_dims = 2, n_positions = 5, n_embd = 8, n_layer = 1, block = { type = "transformer", n_head = 2 }, injector = { type = "full" } }
evaluation = { prompts = 16 }
[training]
batch_size = 4
learning_rate = 1e-3
train_steps = 6
n_loop_window = 2
threads = 1
[training.curriculum]
dims = { start = 2, end = 2, inc = 0, interval = 1 }
points = { start = 5, end = 5, inc = 0, interval = 1 }
loops = { start = 3, end = 3, inc = 0, interval = 1 }
"#;

fn plan(place: &Path, axis: &str, seeds: Vec<u64>) -> (Plan, Sweep) {
    fs::write(place.join("tiny.toml"), TINY).unwrap();
    let (sweep, settings) =
        Sweep::from_arguments(&place.join("tiny.toml"), &[axis.to_owned()], seeds).unwrap();
    (Plan::new(&sweep, &settings, &place.join("out")).unwrap(), sweep)
}

/// Counts what starts, and stops when so many runs have ended.
struct StopAfter {
    ends: usize,
    seen: usize,
    started: usize,
}

impl SweepObserver for StopAfter {
    fn happened(&mut self, event: &SweepEvent<'_>) {
        match event {
            SweepEvent::Starts(_) => self.started += 1,
            SweepEvent::Ended { .. } => self.seen += 1,
            _ => {}
        }
    }

    fn wants_stop(&self) -> bool {
        self.seen >= self.ends
    }
}

#[test]
fn a_sweep_in_threads_is_stopped_resumed_and_compared() {
    let place = tempfile::tempdir().unwrap();
    let (plan, sweep) = plan(place.path(), "model.n_embd=[8, 16]", vec![0, 1]);
    let folder = SweepFolder::take(&plan, &sweep).unwrap();
    let executor = InThreads::new(1, Device::Cpu);
    let mut watch = StopAfter { ends: 2, seen: 0, started: 0 };
    assert!(matches!(carry_out(&plan, &executor, &mut watch), SweepOutcome::Stopped));
    assert_eq!((watch.started, plan.finished().len()), (2, 2));
    let SweepOutcome::Done(failed) = carry_out(&plan, &executor, &mut ()) else {
        panic!("nobody stopped it")
    };
    assert!(failed.is_empty() && plan.runs.iter().all(|run| run.state() == RunState::Finished));
    let comparison = Comparison::of(&plan.finished()).unwrap();
    comparison.publish(&folder.report(), &ReportContext::default()).unwrap();
    assert!(folder.report().join("report.html").is_file());
    assert!(comparison.tables().contains("n_embd=16"));
}

#[test]
fn a_sweep_in_threads_evaluates_again_what_is_to_be_evaluated_otherwise() {
    let place = tempfile::tempdir().unwrap();
    let (first, _) = plan(place.path(), "model.n_embd=[8, 16]", vec![0]);
    let executor = InThreads::new(2, Device::Cpu);
    assert!(matches!(carry_out(&first, &executor, &mut ()), SweepOutcome::Done(failed) if failed.is_empty()));
    let weights = |run: &Path| fs::read(run.join("checkpoints/last/model.safetensors")).unwrap();
    let before: Vec<Vec<u8>> = first.runs.iter().map(|run| weights(&run.folder)).collect();

    let text = TINY.replace("prompts = 16", "prompts = 24, baselines = []");
    fs::write(place.path().join("tiny.toml"), text).unwrap();
    let axis = "model.n_embd=[8, 16]".to_owned();
    let (sweep, settings) = Sweep::from_arguments(&place.path().join("tiny.toml"), &[axis], vec![0]).unwrap();
    let second = Plan::new(&sweep, &settings, &place.path().join("out")).unwrap();
    assert!(second.runs.iter().all(|run| run.state() == RunState::ToEvaluate));
    assert!(
        matches!(carry_out(&second, &executor, &mut ()), SweepOutcome::Done(failed) if failed.is_empty())
    );
    for (run, before) in second.runs.iter().zip(before) {
        assert_eq!(run.state(), RunState::Finished);
        assert!(weights(&run.folder) == before, "it was trained again");
        let eval: Value = serde_json::from_slice(&fs::read(run.folder.join("eval.json")).unwrap()).unwrap();
        assert_eq!((&eval["prompts"], eval["curves"].as_object().unwrap().len()), (&24.into(), 1));
    }
}

#[test]
fn a_sweep_in_threads_is_stopped_while_it_evaluates() {
    /// Stops a sweep as soon as a run is trained.
    struct StopWhenTrained(std::path::PathBuf);
    impl SweepObserver for StopWhenTrained {
        fn wants_stop(&self) -> bool {
            let metrics = fs::read_to_string(self.0.join("metrics.jsonl")).unwrap_or_default();
            self.0.join("checkpoints/last/state.json").is_file() && metrics.contains("\"step\":5,")
        }
    }
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("slow.toml"), TINY.replace("prompts = 16", "prompts = 10000000")).unwrap();
    let axis = "model.n_embd=[8]".to_owned();
    let (sweep, settings) = Sweep::from_arguments(&place.path().join("slow.toml"), &[axis], vec![0]).unwrap();
    let plan = Plan::new(&sweep, &settings, &place.path().join("out")).unwrap();
    let run = plan.runs[0].folder.clone();
    let begun = std::time::Instant::now();
    let outcome = carry_out(&plan, &InThreads::new(1, Device::Cpu), &mut StopWhenTrained(run.clone()));
    assert!(matches!(outcome, SweepOutcome::Stopped) && !run.join("eval.json").exists());
    assert!(begun.elapsed().as_secs() < 60, "the evaluation went on for {:?}", begun.elapsed());
    let made: Value = serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap();
    assert_eq!(made["sessions"][0]["end"]["how"], "stopped", "{made}");
}

#[test]
fn a_diverged_seed_stands_in_its_variants_row() {
    let place = tempfile::tempdir().unwrap();
    let (plan, sweep) = plan(place.path(), "training.learning_rate=[1e-3]", vec![0, 1]);
    let _folder = SweepFolder::take(&plan, &sweep).unwrap();
    // The second run learns from values whose squares are no numbers of f32.
    let tensors = [("xs", vec![4, 5, 2], 1.0), ("ys", vec![4, 5], 3e38)].map(|(name, shape, value)| {
        (name.to_owned(), Tensor::full::<f32, _>(value, shape, &Device::Cpu).unwrap())
    });
    let data = place.path().join("huge.safetensors");
    fs::write(&data, looped_train::encode(&tensors.into()).unwrap()).unwrap();
    let mut broken = plan.runs[1].clone();
    let huge = format!("type = \"dataset\"\npath = {data:?}");
    broken.toml = broken.toml.replace("type = \"linear_regression\"", &huge);
    let runs = vec![plan.runs[0].clone(), broken];
    let plan = Plan { runs, ..plan };
    let SweepOutcome::Done(failed) = carry_out(&plan, &InThreads::new(2, Device::Cpu), &mut ()) else {
        panic!()
    };
    let why: Vec<(u64, &str)> = failed.iter().map(|run| (run.seed, run.why)).collect();
    assert_eq!(why, [(1, "diverged")], "{failed:?}");
    let missing = looped_study::comparison::MissingRun {
        variant: failed[0].variant.clone(),
        seed: 1,
        why: "diverged".to_owned(),
    };
    let comparison = Comparison::of(&plan.finished()).unwrap().with_missing(vec![missing]);
    assert!(comparison.tables().contains("1 of 2; 1 diverged"), "{}", comparison.tables());
}

#[test]
fn a_seed_in_braces_is_each_runs_own_and_its_runs_stay_one_variant() {
    let place = tempfile::tempdir().unwrap();
    let executor = InThreads::new(2, Device::Cpu);
    let (first, _) = plan(place.path(), "model.n_embd=[8]", vec![0, 1]);
    assert!(matches!(carry_out(&first, &executor, &mut ()), SweepOutcome::Done(failed) if failed.is_empty()));

    let weights = "../out/runs/n_embd=8-seed{seed}/checkpoints/last/model.safetensors";
    let text = format!(
        "base = \"../tiny.toml\"\nseeds = [0, 1]\n\
         [[variant]]\nname = \"on\"\nset = {{ \"model.pretrained_path\" = \"{weights}\" }}\n\
         [[variant]]\nname = \"on, faster\"\n\
         set = {{ \"model.pretrained_path\" = \"{weights}\", \"training.learning_rate\" = 2e-3 }}\n"
    );
    fs::write(place.path().join("tiny.toml"), TINY.replace("threads = 1\n", "")).unwrap();
    let file = place.path().join("sweeps/on.toml");
    fs::create_dir(place.path().join("sweeps")).unwrap();
    fs::write(&file, text).unwrap();
    let sweep = Sweep::read(&file).unwrap();
    let mut plan = Plan::new(&sweep, &[], &place.path().join("on")).unwrap();
    let own = |run: &PlannedRun| run.toml.contains(&format!("n_embd=8-seed{}/checkpoints", run.seed));
    assert!(plan.runs.iter().all(own), "{}", plan.runs[1].toml);
    plan.give_threads(1).unwrap();
    assert!(plan.runs.iter().all(own), "{}", plan.runs[1].toml);

    assert!(matches!(carry_out(&plan, &executor, &mut ()), SweepOutcome::Done(failed) if failed.is_empty()));
    let numbers = Comparison::of(&plan.finished()).unwrap().numbers();
    let seeds = |i: usize| (numbers["variants"][i]["name"].clone(), numbers["variants"][i]["seeds"].clone());
    assert_eq!(numbers["variants"].as_array().unwrap().len(), 2);
    assert_eq!(seeds(0), ("on".into(), vec![0, 1].into()));
    assert_eq!(seeds(1), ("on, faster".into(), vec![0, 1].into()));
}

#[test]
fn a_large_sweep_is_planned_in_linear_time() {
    let place = tempfile::tempdir().unwrap();
    let many = |count: usize| {
        let rates: Vec<String> = (1..=count).map(|n| format!("{n}e-6")).collect();
        let begun = std::time::Instant::now();
        let (plan, _) =
            plan(place.path(), &format!("training.learning_rate=[{}]", rates.join(", ")), (0..10).collect());
        assert_eq!(plan.runs.len(), 10 * count);
        begun.elapsed().as_secs_f64()
    };
    // The least of three: other work on the machine only adds to a time.
    let least = |count: usize| (0..3).map(|_| many(count)).fold(f64::INFINITY, f64::min);
    let (few, more) = (least(50), least(200));
    assert!(more < 4.0 * few * 3.0, "4 times the variants took {more:.2} s, after {few:.2} s");
}
