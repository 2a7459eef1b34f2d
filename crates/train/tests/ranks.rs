//! One model trained by several ranks, which are threads here: the same model as one process trains, and what happens when one is gone.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use common::{experiment, tiny, trainer};
use looped_train::{
    Communicator, Lost, Outcome, Ranks, RunDir, TrainError, Trainer, Waits, encode, follow, train,
};
use serde_json::{Value, json};

/// What the ranks have put together, for one exchange after another.
#[derive(Default)]
struct Table {
    given: Vec<Option<Vec<u8>>>,
    taken: usize,
    result: Option<Vec<Vec<u8>>>,
}

/// A rank that is a thread.
struct Thread {
    rank: usize,
    table: Arc<(Mutex<Table>, Condvar)>,
}

impl Thread {
    fn all(count: usize) -> Vec<Self> {
        let table = Table { given: vec![None; count], ..Table::default() };
        let table = Arc::new((Mutex::new(table), Condvar::new()));
        (0..count).map(|rank| Self { rank, table: Arc::clone(&table) }).collect()
    }

    /// Gives `own`, and gets what all have given, by rank.
    fn exchange(&self, own: Vec<u8>, waits: Waits<'_>) -> Result<Vec<Vec<u8>>, Lost> {
        let (table, changed) = &*self.table;
        let begun = Instant::now();
        let until = |mut guard: std::sync::MutexGuard<'_, Table>, ready: &dyn Fn(&Table) -> bool| {
            while !ready(&guard) {
                if !waits(begun.elapsed()) {
                    return Err(Lost);
                }
                guard = changed.wait_timeout(guard, Duration::from_millis(10)).unwrap().0;
            }
            Ok(())
        };
        // Whoever is slow still takes what was given before.
        until(table.lock().unwrap(), &|table| table.given[self.rank].is_none() && table.result.is_none())?;
        let mut guard = table.lock().unwrap();
        guard.given[self.rank] = Some(own);
        if guard.given.iter().all(Option::is_some) {
            guard.result = Some(guard.given.iter().flatten().cloned().collect());
        }
        changed.notify_all();
        drop(guard);
        until(table.lock().unwrap(), &|table| table.result.is_some())?;
        let mut guard = table.lock().unwrap();
        let result = guard.result.clone().unwrap();
        guard.taken += 1;
        if guard.taken == guard.given.len() {
            let count = guard.taken;
            *guard = Table { given: vec![None; count], ..Table::default() };
        }
        changed.notify_all();
        Ok(result)
    }
}

impl Communicator for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.table.0.lock().unwrap().given.len()
    }

    fn sum(&mut self, numbers: &mut [f32], waits: Waits<'_>) -> Result<(), Lost> {
        let all = self.exchange(numbers.iter().flat_map(|x| x.to_le_bytes()).collect(), waits)?;
        numbers.fill(0.0);
        for one in all {
            let (values, _) = one.as_chunks();
            numbers.iter_mut().zip(values).for_each(|(sum, x)| *sum += f32::from_le_bytes(*x));
        }
        Ok(())
    }

    fn sum_wide(&mut self, numbers: &mut [f64], waits: Waits<'_>) -> Result<(), Lost> {
        let all = self.exchange(numbers.iter().flat_map(|x| x.to_le_bytes()).collect(), waits)?;
        numbers.fill(0.0);
        for one in all {
            let (values, _) = one.as_chunks();
            numbers.iter_mut().zip(values).for_each(|(sum, x)| *sum += f64::from_le_bytes(*x));
        }
        Ok(())
    }

    fn tell(&mut self, message: &mut Vec<u8>, waits: Waits<'_>) -> Result<(), Lost> {
        let all = self.exchange(std::mem::take(message), waits)?;
        message.clone_from(&all[0]);
        Ok(())
    }

    fn end(&mut self) {}
}

fn of(ranks: usize, keys: Value) -> Value {
    let mut table = tiny();
    table["training"]["batch_size"] = 7.into();
    table["training"]["ranks"] = ranks.into();
    for (key, value) in keys.as_object().unwrap() {
        match key.as_str() {
            "first_state" => table["model"][key] = value.clone(),
            _ => table["training"][key] = value.clone(),
        }
    }
    table
}

fn weights(trainer: &Trainer) -> Vec<u8> {
    encode(&trainer.model().values().unwrap()).unwrap()
}

/// The trainer of a rank: rank 0 tells the others what is trained.
fn joined(table: &Value, by: Thread, stop: &'static AtomicBool) -> Trainer {
    let ranks = Ranks::new(Box::new(by), Box::new(|| stop.load(Ordering::Relaxed)));
    if ranks.rank() > 0 {
        return Trainer::following(ranks).unwrap().unwrap();
    }
    let mut trainer = trainer(table.clone());
    trainer.lead(ranks).unwrap();
    trainer
}

static NEVER: AtomicBool = AtomicBool::new(false);

/// The losses of rank 0, and the parameters of all ranks after 12 steps.
fn trained(ranks: usize, keys: &Value) -> (Vec<f64>, Vec<Vec<u8>>) {
    let table = of(ranks, keys.clone());
    if ranks == 1 {
        let mut alone = trainer(table);
        let losses = (0..12).map(|_| alone.step().unwrap().loss).collect();
        return (losses, vec![weights(&alone)]);
    }
    let table = &table;
    std::thread::scope(|scope| {
        let all: Vec<_> = Thread::all(ranks)
            .into_iter()
            .map(|by| {
                scope.spawn(move || {
                    let mut trainer = joined(table, by, &NEVER);
                    let losses: Vec<f64> = (0..12).map(|_| trainer.step().unwrap().loss).collect();
                    (losses, weights(&trainer))
                })
            })
            .collect();
        let found: Vec<_> = all.into_iter().map(|rank| rank.join().unwrap()).collect();
        (found[0].0.clone(), found.into_iter().map(|(_, weights)| weights).collect())
    })
}

#[test]
fn several_ranks_train_the_model_that_one_process_trains() {
    let drawn = json!({
        "depth": { "type": "uniform", "from": 1, "to": 4 }, "depth_per_prompt": true, "gradient_clip": 0.5,
        "first_state": { "type": "noise", "std": 0.5 },
    });
    let penalty = json!({
        "regularizers": [{ "type": "fixed_point", "weight": 0.1 }], "ema": 0.9,
        "optimizer": { "type": "adamw", "weight_decay": 0.1 },
    });
    for keys in [json!({}), drawn, penalty] {
        let (alone, _) = trained(1, &keys);
        for ranks in [2, 3, 7] {
            let (losses, weights) = trained(ranks, &keys);
            for (step, (loss, one)) in losses.iter().zip(&alone).enumerate() {
                assert!(
                    (loss / one - 1.0).abs() < 1e-4,
                    "{ranks} ranks, step {step}: {loss} for {one}, {keys}"
                );
            }
            assert!(weights.iter().all(|other| *other == weights[0]), "{ranks} ranks hold other parameters");
            assert_eq!((losses, weights), trained(ranks, &keys), "{ranks} ranks give other bits");
        }
    }
}

#[test]
fn a_process_that_is_alone_or_one_of_others_is_refused() {
    let alone = trainer(of(2, json!({}))).step().unwrap_err().to_string();
    assert_eq!(alone, "training.ranks: is 2, and this process is alone");
    let mut three = Thread::all(3).into_iter().map(|by| Ranks::new(Box::new(by), Box::new(|| false)));
    let (first, others) = (three.next().unwrap(), Vec::from_iter(three));
    std::thread::scope(|scope| {
        // What can't be trained is called off.
        for other in others {
            scope.spawn(|| assert!(Trainer::following(other).unwrap().is_none()));
        }
        let refused = trainer(of(2, json!({}))).lead(first).unwrap_err().to_string();
        assert_eq!(refused, "training.ranks: is 2, and the model is trained by 3 processes");
    });
}

/// The same where a run was taken up in the middle.
#[test]
fn a_run_taken_up_by_other_ranks_goes_on_from_where_it_was() {
    let (alone, _) = trained(1, &json!({}));
    let mut first = trainer(of(1, json!({})));
    (0..5).for_each(|_| drop(first.step().unwrap()));
    let half = &first.checkpoint().unwrap();
    let losses = std::thread::scope(|scope| {
        let mut two = Thread::all(2).into_iter().map(|by| Ranks::new(Box::new(by), Box::new(|| false)));
        let (leads, follows) = (two.next().unwrap(), two.next().unwrap());
        scope.spawn(|| follow(&mut Trainer::following(follows).unwrap().unwrap()).unwrap());
        let mut trainer =
            Trainer::resumed(experiment(of(2, json!({}))), looped_testing::device(), half).unwrap();
        trainer.lead(leads).unwrap();
        Vec::from_iter((5..12).map(|_| trainer.step().unwrap().loss))
    });
    losses.iter().zip(&alone[5..]).for_each(|(loss, one)| assert!((loss / one - 1.0).abs() < 1e-4));
}

/// Rank 0 in `folder`, beside a rank that does `other`.
fn led(
    folder: &std::path::Path,
    stop: &'static AtomicBool,
    other: impl FnOnce(Trainer) + Send,
) -> (looped_train::Result<Outcome>, usize) {
    let table = &of(2, json!({}));
    let mut ranks = Thread::all(2);
    let (second, first) = (ranks.remove(1), ranks.remove(0));
    std::thread::scope(|scope| {
        scope.spawn(move || other(joined(table, second, stop)));
        let run = RunDir::create(folder, &experiment(table.clone()).to_toml().unwrap()).unwrap();
        let mut leader = joined(table, first, stop);
        let ended = train(&mut leader, &run, &mut ());
        (ended, leader.steps_done())
    })
}

#[test]
fn a_rank_that_is_gone_ends_the_training_with_what_was_done_saved() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let (ended, done) = led(&run, &STOP, |mut trainer| {
        (0..7).for_each(|_| drop(trainer.step().unwrap()));
        // As `mpirun` tells those that are left.
        STOP.store(true, Ordering::Relaxed);
    });
    assert!(matches!(ended, Err(TrainError::LostRank { step: 7 })), "{ended:?}");
    assert_eq!(done, 7);
    let (checkpoint, ..) = RunDir::open(&run).unwrap().checkpoints().newest_good().unwrap();
    assert_eq!(checkpoint.state.step, 7);
}

#[test]
fn all_ranks_stop_after_the_same_step_when_one_is_asked_to() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let folder = tempfile::tempdir().unwrap();
    let followed = &Mutex::new(0);
    let (ended, done) = led(&folder.path().join("run"), &STOP, |mut trainer| {
        (0..3).for_each(|_| drop(trainer.step().unwrap()));
        STOP.store(true, Ordering::Relaxed);
        follow(&mut trainer).unwrap();
        *followed.lock().unwrap() = trainer.steps_done();
    });
    assert_eq!(ended.unwrap(), Outcome::Stopped);
    assert_eq!(done, *followed.lock().unwrap());
    assert!(done < 12, "{done}");
}
