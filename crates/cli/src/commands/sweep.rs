//! `looped sweep`: every variant with every seed, and their comparison.

mod shared;
mod slurm;
mod watch;

use looped_config::sweep::{ExecutorConfig, SlurmConfig, Sweep};
use looped_study::sweep::{
    Executor, FailedRun, Leased, LocalProcesses, Plan, SweepFolder, SweepOutcome, SweepRecord, carry_out,
    report,
};
use looped_train::{device, refuse_what_does_not_fit};

use self::watch::Watch;
use crate::args::{Asked, ExecutorName, SweepArgs};
use crate::commands::compare::print_comparison;
use crate::commands::plan::print_plan;
use crate::failure::{Failure, Outcome};
use crate::shell::command_line;
use crate::stop::Stop;

pub(crate) fn sweep(args: &SweepArgs) -> Outcome {
    if args.sweep.is_dir() {
        return of_folder(args);
    }
    // A sweep that is handed in now can be waited for.
    if let Some(asked) = args.elsewhere.asked().filter(|asked| *asked != Asked::Wait) {
        let (asked, file) = (asked.option(), args.sweep.display());
        let why = if args.sweep.exists() {
            format!("{file} isn't one")
        } else {
            format!("{file} isn't there; is it shared with this machine, {}?", shared::host())
        };
        return Err(Failure::usage(format!("{asked} is asked of the folder of a sweep, and {why}")));
    }
    let Some(out) = &args.out else {
        return Err(Failure::usage("--out is needed: the folder of the sweep, new, or of one to be resumed"));
    };
    let (sweep, settings) = read(args)?;
    let mut plan = Plan::new(&sweep, &settings, out)?;
    let slurm = slurm_of(args, &sweep);
    if args.elsewhere.wait && slurm.is_none() {
        return Err(Failure::usage(
            "--wait: is for runs that Slurm does (--executor slurm); others are waited for anyway",
        ));
    }
    match &slurm {
        Some(config) => plan.give_threads(config.cpus.unwrap_or(1) as usize)?,
        None => plan.share_cores(args.jobs as usize)?,
    }
    if args.dry_run {
        return print_plan(&plan, args.output.json);
    }
    plan.notes.iter().for_each(|note| eprintln!("note: {note}"));
    if args.elsewhere.plan {
        planned(args, &plan, &sweep)?;
        let (folder, runs) = (out.display().to_string(), plan.runs.len());
        eprintln!(
            "{} planned; do a part of them by `{}`",
            count(runs, "run"),
            command_line(&["looped", "sweep", &folder, "--shard", "0/N"])
        );
        return Ok(());
    }
    if let Some(config) = slurm {
        slurm::refuse_unless_ready(out)?;
        planned(args, &plan, &sweep)?;
        return slurm::submit(out, &config, args);
    }
    // Each run alone would find enough when it starts.
    refuse_what_does_not_fit(
        &format!("--jobs {}: so many runs at a time need", args.jobs),
        plan.peak_memory(args.jobs as usize)?,
        &device(&args.device.device)?,
        "--jobs, training.batch_size, training.n_loop_window, model.n_embd or evaluation.prompts",
    )?;
    here(args, &plan, &sweep)
}

/// What is asked of a folder that a sweep was planned in.
fn of_folder(args: &SweepArgs) -> Outcome {
    let folder = &args.sweep;
    let record = SweepRecord::read(folder)?;
    if let Some(name) = args.overrides.first() {
        return Err(Failure::usage(format!("{name}: the runs of a sweep's folder are planned already")));
    }
    match args.elsewhere.asked() {
        Some(Asked::Shard(shard)) => shared::do_shard(folder, &record, shard, args),
        Some(Asked::Report) => shared::report(folder, &record, args.output.json),
        Some(Asked::Status) => slurm::status(folder, args.output.json),
        Some(Asked::Wait) => slurm::wait(folder),
        Some(Asked::Cancel) => slurm::cancel(folder),
        Some(Asked::Resubmit) => slurm::resubmit(folder, args),
        None => Err(Failure::usage(format!(
            "{} is the folder of a sweep; add --status, --wait, --cancel, --resubmit, --shard INDEX/COUNT or --report, or name the sweep's file",
            folder.display()
        ))),
    }
}

/// What is asked of Slurm, if that does the runs.
fn slurm_of(args: &SweepArgs, sweep: &Sweep) -> Option<SlurmConfig> {
    match (args.elsewhere.executor, &sweep.executor) {
        (Some(ExecutorName::Slurm) | None, ExecutorConfig::Slurm(config)) => Some(config.clone()),
        (Some(ExecutorName::Slurm), ExecutorConfig::Local(_)) => Some(SlurmConfig::usual()),
        _ => None,
    }
}

/// Writes the folder of a sweep whose runs are done by others.
fn planned(args: &SweepArgs, plan: &Plan, sweep: &Sweep) -> Outcome {
    let folder = SweepFolder::take(plan, sweep)?;
    SweepRecord::write(plan, title(args), again(args))?;
    drop(folder);
    Ok(())
}

/// Does the runs on this machine.
fn here(args: &SweepArgs, plan: &Plan, sweep: &Sweep) -> Outcome {
    let mut watch = Watch { stop: Stop::listen()? };
    let folder = SweepFolder::take(plan, sweep)?;
    let local = LocalProcesses::of_this_program(args.jobs as usize, &args.device.device);
    // Where others may do runs of it, who does one is settled by leases, and what the sweep has more of now is for them too.
    let executor: Box<dyn Executor> = if SweepRecord::is_in(&plan.out) {
        let record = SweepRecord::write(plan, title(args), again(args))?;
        Box::new(Leased::new(local, &plan.out, &shared::host(), record.lease))
    } else {
        Box::new(local)
    };
    let failed = match carry_out(plan, &*executor, &mut watch) {
        SweepOutcome::Done(failed) => failed,
        SweepOutcome::Stopped => {
            eprintln!("stopped; resume with `{}`", again(args));
            return Err(Failure::Stopped);
        }
    };
    let place = folder.report();
    if let Some(comparison) = report(&plan.runs, &failed, &title(args), &again(args), &place)? {
        print_comparison(&place, &comparison, args.output.json)?;
    }
    if failed.is_empty() { Ok(()) } else { Err(failure(&again(args), &failed, plan.runs.len())) }
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

/// What the report is called.
fn title(args: &SweepArgs) -> String {
    format!("Sweep {}", args.sweep.file_stem().unwrap_or_default().to_string_lossy())
}

/// The command that resumes this sweep.
fn again(args: &SweepArgs) -> String {
    let mut words = vec!["looped".to_owned(), "sweep".to_owned(), args.sweep.display().to_string()];
    words.extend(args.overrides.iter().cloned());
    if let Some(seeds) = &args.seeds {
        let seeds: Vec<String> = seeds.0.iter().map(u64::to_string).collect();
        words.extend(["--seeds".to_owned(), seeds.join(",")]);
    }
    if let Some(out) = &args.out {
        words.extend(["--out".to_owned(), out.display().to_string()]);
    }
    if args.jobs != 1 {
        words.extend(["--jobs".to_owned(), args.jobs.to_string()]);
    }
    if let Some(executor) = args.elsewhere.executor {
        words.extend(["--executor".to_owned(), executor.name().to_owned()]);
    }
    if args.device.device != "auto" {
        words.extend(["--device".to_owned(), args.device.device.clone()]);
    }
    command_line(&words)
}

fn failure(again: &str, failed: &[FailedRun], total: usize) -> Failure {
    let lines = failed.iter().map(|failed| format!("\n{}: {}", failed.label, failed.reason));
    Failure::failed(format!(
        "{} of {total} runs failed; the others are done. Once fixed, resume with `{}`{}",
        failed.len(),
        again,
        lines.collect::<String>()
    ))
}

/// As in `1 run`, `2 runs`.
fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
