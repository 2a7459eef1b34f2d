//! A run that is stopped and resumed leaves the same files as one that never stopped.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::{tiny, trainer};
use looped_train::{Metrics, Observer, Outcome, RunDir, TrainError, train};

/// Wants to stop before the given step.
struct StopBefore {
    step: usize,
    seen: Cell<usize>,
}

impl Observer for StopBefore {
    fn stepped(&mut self, step: usize, _: f64) {
        self.seen.set(step + 1);
    }

    fn wants_stop(&self) -> bool {
        self.seen.get() >= self.step
    }
}

fn run_to_the_end(folder: &Path) -> RunDir {
    let run = RunDir::create(folder, "name = \"tiny\"\n").unwrap();
    assert_eq!(train(&mut trainer(tiny()), &run, &mut ()).unwrap(), Outcome::Finished);
    run
}

/// Every file of the checkpoints by its path, and the metrics without their speed.
fn contents(run: &RunDir) -> (BTreeMap<String, Vec<u8>>, Vec<String>) {
    let mut files = BTreeMap::new();
    for checkpoint in fs::read_dir(run.path().join("checkpoints")).unwrap() {
        for file in fs::read_dir(checkpoint.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(run.path()).unwrap().display().to_string();
            files.insert(name, fs::read(path).unwrap());
        }
    }
    let metrics = Metrics::read(&run.metrics()).unwrap().into_iter().map(|mut record| {
        (record.steps_per_second, record.cpu_seconds) = (0.0, None);
        serde_json::to_string(&record).unwrap()
    });
    (files, metrics.collect())
}

#[test]
fn stopped_anywhere_and_resumed_equals_never_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let whole = contents(&run_to_the_end(&folder.path().join("whole")));
    assert_eq!(whole.1.len(), 7, "steps 0, 2, 4, 6, 8, 10 and the last, 11");
    let names: Vec<&str> = whole.0.keys().map(String::as_str).collect();
    for expected in [
        "checkpoints/last/model.safetensors",
        "checkpoints/previous/state.json",
        "checkpoints/step_0000010/SHA256SUMS",
    ] {
        assert!(names.contains(&expected), "{names:?}");
    }
    for stop in 0..12 {
        let run =
            RunDir::create(&folder.path().join(format!("stopped_{stop}")), "name = \"tiny\"\n").unwrap();
        let mut observer = StopBefore { step: stop, seen: Cell::new(0) };
        assert_eq!(train(&mut trainer(tiny()), &run, &mut observer).unwrap(), Outcome::Stopped);
        let mut resumed = trainer(tiny());
        let (checkpoint, _, bad) = run.checkpoints().newest_good().unwrap();
        assert!(bad.is_empty());
        resumed.restore(&checkpoint).unwrap();
        assert_eq!(resumed.steps_done(), stop);
        train(&mut resumed, &run, &mut ()).unwrap();
        let (files, metrics) = contents(&run);
        assert_eq!(metrics, whole.1, "stopped before step {stop}");
        assert!(files.keys().eq(whole.0.keys()), "stopped before step {stop}: {:?}", files.keys());
        let differing: Vec<&String> = files.keys().filter(|name| files[*name] != whole.0[*name]).collect();
        assert!(differing.is_empty(), "stopped before step {stop}, other contents: {differing:?}");
    }
}

/// Noise depends on the seed and the prompt's number alone: nothing of it is in a checkpoint.
#[test]
fn a_first_state_of_noise_is_the_same_after_a_resume() {
    let mut table = tiny();
    table["model"]["first_state"] = serde_json::json!({ "type": "noise", "std": 0.5 });
    for engine in ["candle", "fused"] {
        table["training"]["engine"] = engine.into();
        let losses = |of: &mut looped_train::Trainer, steps: usize| -> Vec<(f64, f64)> {
            (0..steps).map(|_| (of.step().unwrap().loss, of.validation_loss().unwrap())).collect()
        };
        let mut whole = trainer(table.clone());
        let (first, checkpoint) = (losses(&mut whole, 5), whole.checkpoint().unwrap());
        let rest = losses(&mut whole, 7);
        let mut again = trainer(table.clone());
        assert_eq!(losses(&mut again, 5), first);
        let mut resumed = trainer(table.clone());
        resumed.restore(&checkpoint).unwrap();
        assert_eq!(losses(&mut resumed, 7), rest);
        table["seed"] = 4.into();
        assert_ne!(losses(&mut trainer(table.clone()), 5), first);
        table["seed"] = 3.into();
    }
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_previous_one_used() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_to_the_end(&folder.path().join("run"));
    let last = run.checkpoints().last();
    for file in ["model.safetensors", "optimizer.safetensors", "state.json", "SHA256SUMS"] {
        let path = last.join(file);
        let good = fs::read(&path).unwrap();
        let cuts = [good.len() - 1, good.len() / 2, 0].map(|end| good[..end].to_vec());
        for damage in cuts.into_iter().chain([flipped(&good)]) {
            fs::write(&path, damage).unwrap();
            let (checkpoint, place, bad) = run.checkpoints().newest_good().unwrap();
            assert_eq!(checkpoint.state.step, 10);
            assert!(!place.ends_with("last"));
            assert_eq!(bad.len(), 1);
            assert!(bad[0].to_string().contains("checkpoints/last"), "{}", bad[0]);
        }
        fs::write(&path, good).unwrap();
    }
    let (checkpoint, place, bad) = run.checkpoints().newest_good().unwrap();
    assert!(bad.is_empty() && place.ends_with("last") && checkpoint.state.step == 12);
}

fn flipped(good: &[u8]) -> Vec<u8> {
    let mut bad = good.to_vec();
    bad[good.len() / 2] ^= 4;
    bad
}

#[test]
fn a_save_cut_short_is_ended_by_the_next_one_or_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_to_the_end(&folder.path().join("run"));
    let whole = contents(&run);
    let [next, last, previous] =
        ["next", "last", "previous"].map(|name| run.path().join("checkpoints").join(name));
    // The three moments at which a crash leaves a whole checkpoint that is not in its place yet.
    fs::rename(&last, &next).unwrap();
    run.checkpoints().settle(5).unwrap();
    assert_eq!(contents(&run), whole);
    fs::rename(&last, &next).unwrap();
    fs::rename(&previous, &last).unwrap();
    run.checkpoints().settle(5).unwrap();
    assert_eq!(contents(&run), whole);
    // A damaged one takes nobody's place.
    fs::create_dir(&next).unwrap();
    fs::write(next.join("state.json"), "{}").unwrap();
    run.checkpoints().settle(5).unwrap();
    assert_eq!(contents(&run), whole);

    let young = RunDir::create(&folder.path().join("young"), "").unwrap();
    fs::create_dir_all(young.path().join("checkpoints/next.tmp")).unwrap();
    assert!(!young.checkpoints().exist().unwrap(), "half of a first checkpoint is none");
}

#[test]
fn a_damaged_checkpoint_never_takes_the_place_of_the_previous_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::create(&folder.path().join("run"), "").unwrap();
    let stop_before = |step| StopBefore { step, seen: Cell::new(0) };
    let mut table = tiny();
    table["training"]["keep_every_steps"] = 100.into();
    train(&mut trainer(table.clone()), &run, &mut stop_before(10)).unwrap();
    let model = run.checkpoints().last().join("model.safetensors");
    fs::write(&model, flipped(&fs::read(&model).unwrap())).unwrap();

    let (checkpoint, ..) = run.checkpoints().newest_good().unwrap();
    assert_eq!(checkpoint.state.step, 5);
    let mut resumed = trainer(table);
    resumed.restore(&checkpoint).unwrap();
    train(&mut resumed, &run, &mut stop_before(7)).unwrap();

    fs::remove_dir_all(run.checkpoints().last()).unwrap();
    let (checkpoint, place, bad) = run.checkpoints().newest_good().unwrap();
    assert!(bad.is_empty() && place.ends_with("previous"), "{bad:?}");
    assert_eq!(checkpoint.state.step, 5);
}

#[test]
fn a_run_whose_folder_is_moved_away_stops_at_its_next_checkpoint_and_can_go_on_there() {
    /// Moves the run's folder before step 7.
    struct Mover<'a>(&'a Path, &'a Path);
    impl Observer for Mover<'_> {
        fn stepped(&mut self, step: usize, _: f64) {
            if step == 6 {
                fs::rename(self.0, self.1).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let whole = contents(&run_to_the_end(&folder.path().join("whole")));
    let (here, away) = (folder.path().join("here"), folder.path().join("away"));
    let run = RunDir::create(&here, "name = \"tiny\"\n").unwrap();
    let message = train(&mut trainer(tiny()), &run, &mut Mover(&here, &away)).unwrap_err().to_string();
    assert!(message.contains("here/checkpoints: cannot create"), "{message}");
    assert!(!here.exists(), "a folder was made again");
    drop(run);
    let run = RunDir::open(&away).unwrap();
    let mut resumed = trainer(tiny());
    resumed.restore(&run.checkpoints().newest_good().unwrap().0).unwrap();
    train(&mut resumed, &run, &mut ()).unwrap();
    assert_eq!(contents(&run), whole);
}

#[test]
fn a_run_killed_before_it_had_a_config_can_be_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("config.toml.tmp"), "na").unwrap();
    fs::write(path.join(".lock"), "").unwrap();
    RunDir::create(&path, "").unwrap();

    let path = folder.path().join("begun elsewhere");
    let refused = RunDir::create_with(&path, "", |_| Err(TrainError::Refused("no room".to_owned())));
    assert_eq!(refused.unwrap_err().to_string(), "no room");
    assert!(!path.join("config.toml").exists(), "without its beginning it is no run");
}

#[test]
fn no_good_checkpoint_is_an_error_that_lists_all() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_to_the_end(&folder.path().join("run"));
    for place in ["last", "previous", "step_0000010"] {
        fs::remove_file(run.path().join("checkpoints").join(place).join("model.safetensors")).unwrap();
    }
    let message = run.checkpoints().newest_good().unwrap_err().to_string();
    for place in ["last", "previous", "step_0000010"] {
        assert!(message.contains(&format!("{place}/model.safetensors: cannot read")), "{message}");
    }
}

#[test]
fn a_checkpoint_of_another_shape_or_seed_is_refused_whole() {
    let checkpoint = trainer(tiny()).checkpoint().unwrap();
    let mut wider = tiny();
    wider["model"]["n_embd"] = 16.into();
    let message = trainer(wider).restore(&checkpoint).unwrap_err().to_string();
    assert!(message.contains("_read_in.weight has shape [8, 2], the model needs [16, 2]"), "{message}");
    let mut reseeded = tiny();
    reseeded["seed"] = 4.into();
    let message = trainer(reseeded).restore(&checkpoint).unwrap_err().to_string();
    assert!(message.contains("the checkpoint's seed is 3, the experiment's 4"), "{message}");
}

#[test]
fn a_directory_is_held_by_one_process_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let run = RunDir::create(&path, "").unwrap();
    let message = RunDir::open(&path).unwrap_err().to_string();
    assert!(message.contains("in use by another looped process"), "{message}");
    assert!(RunDir::is_in_use(&path));
    drop(run);
    assert!(!RunDir::is_in_use(&path) && !RunDir::is_in_use(&folder.path().join("nowhere")));
    RunDir::open(&path).unwrap();
    let message = RunDir::create(&path, "").unwrap_err().to_string();
    assert!(message.contains("holds a run already"), "{message}");
    fs::create_dir(folder.path().join("other")).unwrap();
    fs::write(folder.path().join("other/thesis.tex"), "").unwrap();
    let message = RunDir::create(&folder.path().join("other"), "").unwrap_err().to_string();
    assert!(message.contains("thesis.tex"), "{message}");
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::create(&folder.path().join("run"), "").unwrap();
    let mut table = tiny();
    table["training"]["learning_rate"] = 1e30.into();
    table["training"]["save_every_steps"] = 1.into();
    let error = train(&mut trainer(table.clone()), &run, &mut ()).unwrap_err();
    let TrainError::NonFinite { step, .. } = error else { panic!("{error}") };
    for part in
        ["training.learning_rate", "the first numbers that aren't finite: ", " in loop 1 it gives numbers"]
    {
        assert!(error.to_string().contains(part), "{part} in {error}");
    }
    let (checkpoint, ..) = run.checkpoints().newest_good().unwrap();
    assert_eq!(checkpoint.state.step, step);
    trainer(table).restore(&checkpoint).unwrap();
}
