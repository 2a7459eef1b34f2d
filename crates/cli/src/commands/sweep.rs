//! `looped sweep`: every variant with every seed, and their comparison.

use std::path::PathBuf;

use looped_config::sweep::Sweep;
use looped_study::comparison::{MissingRun, clock};
use looped_study::sweep::{
    Ending, FailedRun, LocalProcesses, Plan, SweepEvent, SweepFolder, SweepObserver, SweepOutcome, carry_out,
};
use looped_study::{Comparison, ReportContext};

use looped_train::device;

use crate::args::SweepArgs;
use crate::commands::compare::print_comparison;
use crate::commands::plan::print_plan;
use crate::failure::{Failure, Outcome};
use crate::memory::refuse_what_does_not_fit;
use crate::shell::command_line;
use crate::stop::Stop;

pub(crate) fn sweep(args: &SweepArgs) -> Outcome {
    let (sweep, settings) = read(args)?;
    let mut plan = Plan::new(&sweep, &settings, &args.out)?;
    plan.share_cores(args.jobs as usize)?;
    if args.dry_run {
        return print_plan(&plan, args.output.json);
    }
    plan.notes.iter().for_each(|note| eprintln!("note: {note}"));
    // Each run alone would find enough when it starts.
    refuse_what_does_not_fit(
        &format!("--jobs {}: so many runs at a time need", args.jobs),
        plan.peak_memory(args.jobs as usize)?,
        &device(&args.device.device)?,
        "--jobs, training.batch_size, training.n_loop_window, model.n_embd or evaluation.prompts",
    )?;
    let mut watch = Watch { stop: Stop::listen()? };
    let folder = SweepFolder::take(&plan, &sweep)?;
    let executor = LocalProcesses::of_this_program(args.jobs as usize, &args.device.device);
    let failed = match carry_out(&plan, &executor, &mut watch) {
        SweepOutcome::Done(failed) => failed,
        SweepOutcome::Stopped => {
            eprintln!("stopped; resume with `{}`", again(args));
            return Err(Failure::Stopped);
        }
    };
    let good = |folder: &PathBuf| failed.iter().all(|failed| failed.folder != *folder);
    let finished: Vec<PathBuf> = plan.runs.iter().map(|run| run.folder.clone()).filter(good).collect();
    if !finished.is_empty() {
        let comparison = Comparison::of(&finished)?.with_missing(missing(&failed));
        let report = folder.report();
        comparison.publish(&report, &context(args, &plan, &failed))?;
        print_comparison(&report, &comparison.tables(), args.output.json)?;
    }
    if failed.is_empty() { Ok(()) } else { Err(failure(args, &failed, plan.runs.len())) }
}

/// The sweep of a file, or of an experiment and the lists among the arguments; and the settings of every run.
fn read(args: &SweepArgs) -> Outcome<(Sweep, Vec<String>)> {
    let has_axes = args.overrides.iter().any(|setting| setting.contains("=["));
    if (args.seeds.is_some() || has_axes) && !Sweep::is_at(&args.sweep) {
        let seeds = match &args.seeds {
            Some(seeds) => seeds.0.clone(),
            None => vec![looped_config::load(&args.sweep, &[])?.experiment.seed],
        };
        return Ok(Sweep::from_arguments(&args.sweep, &args.overrides, seeds)?);
    }
    let sweep = Sweep::read(&args.sweep)?;
    if args.seeds.is_some() {
        let file = args.sweep.display();
        return Err(Failure::usage(format!("--seeds: {file} lists its seeds; change them there")));
    }
    Ok((sweep, args.overrides.clone()))
}

fn missing(failed: &[FailedRun]) -> Vec<MissingRun> {
    let missing = |run: &FailedRun| MissingRun {
        variant: run.variant.clone(),
        seed: run.seed,
        why: run.why.to_owned(),
    };
    failed.iter().map(missing).collect()
}

/// Tells on stderr what happens, and passes on a wish to stop.
struct Watch {
    stop: Stop,
}

impl SweepObserver for Watch {
    fn happened(&mut self, event: &SweepEvent<'_>) {
        match event {
            SweepEvent::FoundFinished { finished, total } => {
                eprintln!("{finished} of {total} runs are finished already");
            }
            SweepEvent::FoundRunning(run) => {
                eprintln!("{}: is still running (started by an earlier sweep); waiting for it", run.label);
            }
            SweepEvent::Starts(run) => eprintln!("{}: starts", run.label),
            SweepEvent::Resumes(run) => eprintln!("{}: resumes", run.label),
            SweepEvent::EvaluatesAgain(run) => eprintln!("{}: evaluates again", run.label),
            SweepEvent::Says(run, words) => eprintln!("{}: {words}", run.label),
            SweepEvent::Ended { run, ending, seconds, ended, total } => {
                let how = match ending {
                    Ending::Finished => "finished",
                    Ending::Stopped(_) => "stopped",
                    Ending::Diverged(_) => "DIVERGED",
                    Ending::Failed(_) => "FAILED",
                };
                let time = seconds.map_or_else(String::new, |seconds| format!(" after {}", clock(seconds)));
                eprintln!("[{ended}/{total}] {}: {how}{time}", run.label);
            }
            SweepEvent::Stopping(runs) => eprintln!("stopping: waiting for {} to save", count(*runs, "run")),
        }
    }

    fn wants_stop(&self) -> bool {
        self.stop.asked()
    }
}

fn context(args: &SweepArgs, plan: &Plan, failed: &[FailedRun]) -> ReportContext {
    let title = format!("Sweep {}", args.sweep.file_stem().unwrap_or_default().to_string_lossy());
    let missing: Vec<String> =
        failed.iter().map(|failed| format!("{} ({})", failed.label, failed.why)).collect();
    let mut notes = Vec::new();
    if !missing.is_empty() {
        notes.push(format!("These runs are missing here: {}.", missing.join("; ")));
    }
    let mut repeat = vec!["# All".to_owned(), again(args), String::new(), "# One by one".to_owned()];
    for run in &plan.runs {
        repeat.push(command_line(&["looped", "run", &run.config.display().to_string()]));
    }
    ReportContext { title, notes, repeat }
}

/// The command that resumes this sweep.
fn again(args: &SweepArgs) -> String {
    let mut words = vec!["looped".to_owned(), "sweep".to_owned(), args.sweep.display().to_string()];
    words.extend(args.overrides.iter().cloned());
    if let Some(seeds) = &args.seeds {
        let seeds: Vec<String> = seeds.0.iter().map(u64::to_string).collect();
        words.extend(["--seeds".to_owned(), seeds.join(",")]);
    }
    words.extend(["--out".to_owned(), args.out.display().to_string()]);
    if args.jobs != 1 {
        words.extend(["--jobs".to_owned(), args.jobs.to_string()]);
    }
    if args.device.device != "auto" {
        words.extend(["--device".to_owned(), args.device.device.clone()]);
    }
    command_line(&words)
}

fn failure(args: &SweepArgs, failed: &[FailedRun], total: usize) -> Failure {
    let lines = failed.iter().map(|failed| format!("\n{}: {}", failed.label, failed.reason));
    Failure::failed(format!(
        "{} of {total} runs failed; the others are done. Once fixed, resume with `{}`{}",
        failed.len(),
        again(args),
        lines.collect::<String>()
    ))
}

/// As in `1 run`, `2 runs`.
fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
