//! `looped sweep`: every variant with every seed, and their comparison.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::args::SweepArgs;
use crate::comparison::{Comparison, Story, refuse_unless_free};
use crate::failure::{Failure, Outcome};
use crate::shell::command_line;
use crate::sweeping::{Failed, Plan, SweepFile, Workers};

/// The copy of the sweep file in the sweep's folder, by which it is known again.
const COPY: &str = "sweep.toml";

pub(crate) fn sweep(args: &SweepArgs) -> Outcome {
    let file = SweepFile::read(&args.sweep)?;
    if !args.out.join(COPY).is_file() {
        refuse_unless_free(&args.out)?;
    }
    let plan = Plan::new(&file, &args.overrides, &args.out)?;
    let workers = Workers::new(args.jobs as usize, &args.device.device)?;
    let _lock = occupy(&args.out)?;
    looped_train::write_atomically(&args.out.join(COPY), file.text.as_bytes())?;
    let failed = workers.work(&plan).inspect_err(|failure| {
        if matches!(failure, Failure::Interrupted) {
            eprintln!("stopped; go on with `{}`", again(args));
        }
    })?;
    let good = |folder: &PathBuf| failed.iter().all(|failed| failed.folder != *folder);
    let finished: Vec<PathBuf> = plan.runs.iter().map(|run| run.folder.clone()).filter(good).collect();
    if !finished.is_empty() {
        let comparison = Comparison::of(&finished)?;
        let report = args.out.join("report");
        comparison.publish(&report, &story(args, &plan, &failed))?;
        println!("{}", report.join("report.html").display());
        print!("{}", comparison.tables());
    }
    if failed.is_empty() { Ok(()) } else { Err(failure(args, &failed, plan.runs.len())) }
}

/// Makes the folder and holds it for this process; the system frees the lock when the process ends.
fn occupy(folder: &Path) -> Outcome<File> {
    let cannot = |error| Failure::failed(format!("{}: cannot be written: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(cannot)?;
    let lock = File::create(folder.join(".lock")).map_err(cannot)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(Failure::usage(format!("{} is in use by another looped sweep", folder.display())))
        }
        Err(TryLockError::Error(error)) => Err(cannot(error)),
    }
}

fn story(args: &SweepArgs, plan: &Plan, failed: &[Failed]) -> Story {
    let title = format!("Sweep {}", args.sweep.file_stem().unwrap_or_default().to_string_lossy());
    let missing: Vec<&str> = failed.iter().map(|failed| failed.label.as_str()).collect();
    let mut notes = Vec::new();
    if !missing.is_empty() {
        notes.push(format!("Runs that failed are missing here: {}.", missing.join("; ")));
    }
    let mut repeat = vec!["# All".to_owned(), again(args), String::new(), "# One by one".to_owned()];
    for run in &plan.runs {
        let base = plan.base.display().to_string();
        let words = [vec!["looped".to_owned(), "run".to_owned(), base], run.overrides.clone()].concat();
        repeat.push(command_line(&words));
    }
    Story { title, notes, repeat }
}

/// This very command.
fn again(args: &SweepArgs) -> String {
    let mut words = vec!["looped".to_owned(), "sweep".to_owned(), args.sweep.display().to_string()];
    words.extend(args.overrides.iter().cloned());
    words.extend(["--out".to_owned(), args.out.display().to_string()]);
    command_line(&words)
}

fn failure(args: &SweepArgs, failed: &[Failed], total: usize) -> Failure {
    let lines = failed.iter().map(|failed| format!("\n{}: {}", failed.label, failed.reason));
    Failure::failed(format!(
        "{} of {total} runs failed; the others are done. Once mended, go on with `{}`{}",
        failed.len(),
        again(args),
        lines.collect::<String>()
    ))
}
