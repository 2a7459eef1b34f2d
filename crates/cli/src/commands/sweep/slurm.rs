//! `looped sweep --executor slurm`, and what is asked of a sweep that Slurm does.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use looped_config::sweep::SlurmConfig;
use looped_report::table::{Column, Table};
use looped_study::StudyError;
use looped_study::sweep::slurm::{Submission, TaskState};
use looped_study::sweep::{Program, SweepRecord, slurm};
use serde_json::json;

use super::count;
use crate::args::SweepArgs;
use crate::commands::plan::print_json;
use crate::failure::{Failure, Outcome};
use crate::shell::command_line;
use crate::stop::Stop;

/// From one look at the queue to the next.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long Slurm, once it has answered, may then fail to while a sweep is waited for.
const PATIENCE: Duration = Duration::from_secs(600);

/// Hands a sweep in that is planned, and waits for it if that is asked for.
pub(super) fn submit(folder: &Path, config: &SlurmConfig, args: &SweepArgs) -> Outcome {
    let program = Program::installed().map_err(Failure::failed)?;
    let submission = slurm::submit(folder, config, &args.device.device, &program)?;
    let runs = submission.state(folder)?;
    let open = runs.iter().filter(|(_, at)| at.state != TaskState::Finished).count();
    let folder_name = folder.display().to_string();
    eprintln!(
        "{} handed to Slurm as job {}, and their comparison as job {}; look at them by `{}`",
        count(open, "run"),
        submission.array,
        submission.report,
        command_line(&["looped", "sweep", &folder_name, "--status"])
    );
    if args.elsewhere.wait { wait(folder) } else { Ok(()) }
}

/// Hands in again what isn't finished, as it was handed in before.
pub(super) fn resubmit(folder: &Path, args: &SweepArgs) -> Outcome {
    let submission = Submission::read(folder)?;
    refuse_unless_ready(folder)?;
    submit(folder, &submission.config, args)
}

/// Refuses to hand in what Slurm still has, or anything where Slurm isn't.
pub(super) fn refuse_unless_ready(folder: &Path) -> Outcome {
    slurm::version()?;
    if Submission::is_in(folder) && Submission::read(folder)?.is_in_work()? {
        let folder = folder.display().to_string();
        let wait = command_line(&["looped", "sweep", &folder, "--wait"]);
        return Err(Failure::usage(format!(
            "Slurm still has runs of {folder}; wait for them (`{wait}`), or take them out (--cancel)"
        )));
    }
    Ok(())
}

pub(super) fn cancel(folder: &Path) -> Outcome {
    Submission::read(folder)?.cancel()?;
    eprintln!(
        "cancelled; runs in work save. Hand the rest in again by `{}`",
        command_line(&["looped", "sweep", &folder.display().to_string(), "--resubmit"])
    );
    Ok(())
}

/// How far each run is.
pub(super) fn status(folder: &Path, as_json: bool) -> Outcome {
    let submission = Submission::read(folder)?;
    let runs = submission.state(folder)?;
    if as_json {
        let each: Vec<_> = runs
            .iter()
            .map(|(run, at)| {
                json!({
                    "label": run.label, "variant": run.variant, "seed": run.seed, "run": run.folder,
                    "state": at.state.word(), "node": at.node, "reason": at.state.reason(), "log": run.log,
                })
            })
            .collect();
        return print_json(&json!({ "array": submission.array, "report": submission.report, "runs": each }));
    }
    let mut table = Table::new([Column::left("run"), Column::left("state"), Column::left("node")]);
    for (run, at) in &runs {
        table.push([run.label.clone(), at.state.in_words(), at.node.clone()]);
    }
    print!("{}", table.text());
    println!();
    println!("# {}", summary(runs.iter().map(|(_, at)| &at.state)));
    for (run, at) in &runs {
        if let Some(reason) = at.state.reason() {
            println!("# {}: {reason}", run.label);
        }
    }
    Ok(())
}

/// Waits until Slurm has nothing left to do, telling what changes; an error if a run isn't finished then.
pub(super) fn wait(folder: &Path) -> Outcome {
    let (stop, submission) = (Stop::listen()?, Submission::read(folder)?);
    let look = || Ok::<_, StudyError>((submission.is_in_work()?, submission.state(folder)?));
    let (mut told, mut answered): (_, Option<Instant>) = (String::new(), None);
    let runs = loop {
        let now = match look() {
            Ok((in_work, runs)) => {
                answered = Some(Instant::now());
                let now = summary(runs.iter().map(|(_, at)| &at.state));
                if !in_work {
                    tell(&mut told, now);
                    break runs;
                }
                now
            }
            // Its controller may be begun again.
            Err(error) if answered.is_some_and(|last| last.elapsed() < PATIENCE) => {
                format!("Slurm doesn't answer; asking again ({error})")
            }
            Err(error) => return Err(error.into()),
        };
        tell(&mut told, now);
        for _ in 0..LOOK_EVERY.as_millis() / 100 {
            if stop.asked() {
                eprintln!("no longer waiting; the runs continue");
                return Err(Failure::Stopped);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let open: Vec<_> = runs.iter().filter(|(_, at)| at.state != TaskState::Finished).collect();
    if open.is_empty() {
        eprintln!("all runs are finished: {}", folder.join("report").join("report.html").display());
        return Ok(());
    }
    let lines = open.iter().map(|(run, at)| {
        let reason = at.state.reason().map_or_else(String::new, |reason| format!(": {reason}"));
        format!("\n{}: {}{reason}", run.label, at.state.in_words())
    });
    Err(Failure::failed(format!(
        "{} of {} runs aren't finished. Hand them in again by `{}`{}",
        open.len(),
        SweepRecord::read(folder)?.runs(folder)?.len(),
        command_line(&["looped", "sweep", &folder.display().to_string(), "--resubmit"]),
        lines.collect::<String>()
    )))
}

/// Tells what wasn't told last.
fn tell(told: &mut String, now: String) {
    if now != *told {
        eprintln!("{now}");
        *told = now;
    }
}

/// As in `12 runs: 9 finished, 2 running, 1 waiting`.
fn summary<'a>(states: impl Iterator<Item = &'a TaskState>) -> String {
    let (mut all, mut of_state) = (0, BTreeMap::new());
    for state in states {
        all += 1;
        *of_state.entry(state.word()).or_insert(0) += 1;
    }
    let parts: Vec<String> =
        of_state.iter().map(|(word, number)| format!("{number} {}", word.replace('_', " "))).collect();
    format!("{}: {}", count(all, "run"), parts.join(", "))
}
