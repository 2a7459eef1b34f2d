//! `looped sweep FOLDER --shard` and `--report`: a part of the runs that another process planned, and their comparison.

use std::path::Path;

use looped_study::sweep::{
    self, Ended, FailedRun, Leased, LocalProcesses, Plan, PlannedRun, RunState, Shard, SweepOutcome,
    SweepRecord, carry_out, slurm,
};

use super::failure;
use super::watch::Watch;
use crate::args::SweepArgs;
use crate::commands::compare::print_comparison;
use crate::failure::{Failure, Outcome};
use crate::shell::command_line;
use crate::stop::{Stop, asked_by_slurm};

/// The name of this machine.
pub(super) fn host() -> String {
    looped_train::host()
}

/// Does a shard's runs, each while no other process does it. One that is about to lose its time to Slurm goes back into the queue.
pub(super) fn do_shard(folder: &Path, record: &SweepRecord, shard: Shard, args: &SweepArgs) -> Outcome {
    let runs: Vec<PlannedRun> = shard.of(&record.runs(folder)?).cloned().collect();
    if runs.is_empty() {
        return Err(Failure::usage(format!("--shard {shard}: has none of the sweep's runs")));
    }
    let plan = Plan { out: folder.to_owned(), variants: Vec::new(), runs, notes: Vec::new() };
    let local = LocalProcesses::of_this_program(args.jobs as usize, &args.device.device);
    let executor = Leased::new(local, folder, &host(), record.lease);
    let mut watch = Watch { stop: Stop::listen()? };
    let again =
        command_line(&["looped", "sweep", &folder.display().to_string(), "--shard", &shard.to_string()]);
    match carry_out(&plan, &executor, &mut watch) {
        SweepOutcome::Done(failed) if failed.is_empty() => Ok(()),
        SweepOutcome::Done(failed) => Err(failure(&again, &failed, plan.runs.len())),
        SweepOutcome::Stopped => {
            eprintln!("stopped; resume with `{again}`");
            if asked_by_slurm() {
                slurm::requeue_this_job()?;
            }
            Err(Failure::Stopped)
        }
    }
}

/// Compares the runs that are finished, and tells how the others ended.
pub(super) fn report(folder: &Path, record: &SweepRecord, as_json: bool) -> Outcome {
    let runs = record.runs(folder)?;
    let is_finished = |run: &&PlannedRun| run.state() == RunState::Finished;
    let failed: Vec<FailedRun> =
        runs.iter().filter(|run| !is_finished(run)).map(|run| left_out(folder, run)).collect();
    let to = folder.join("report");
    let Some(comparison) = sweep::report(&runs, &failed, &record.title, &record.command, &to)? else {
        return Err(Failure::failed(format!("none of the sweep's {} runs is finished", runs.len())));
    };
    print_comparison(&to, &comparison, as_json)?;
    if failed.is_empty() { Ok(()) } else { Err(failure(&record.command, &failed, runs.len())) }
}

fn left_out(folder: &Path, run: &PlannedRun) -> FailedRun {
    let ended = Ended::read(folder, run);
    let why = match ended.as_ref().map(|ended| ended.how.as_str()) {
        Some("diverged") => "diverged",
        Some("failed") => "failed",
        Some(_) => "stopped",
        None => "not finished",
    };
    FailedRun {
        label: run.label.clone(),
        variant: run.variant.clone(),
        seed: run.seed,
        folder: run.folder.clone(),
        why,
        reason: ended.map_or_else(|| "it isn't finished".to_owned(), |ended| ended.reason),
    }
}
