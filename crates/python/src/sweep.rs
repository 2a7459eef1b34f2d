//! Sweeps on this machine, each run in a process of its own.

use std::path::{Path, PathBuf};

use looped::Watch as _;
use looped::config::sweep::{ExecutorConfig, Sweep};
use looped::study::sweep::{
    FailedRun, LocalProcesses, Plan, SweepEvent, SweepFolder, SweepObserver, SweepOutcome, SweepRecord,
    carry_out, report,
};
use looped::study::{Comparison, ReportContext, command_line};
use looped::train::{device, refuse_what_does_not_fit};
use pyo3::prelude::*;

use crate::comparison::PyComparison;
use crate::error::{Raise, refused};
use crate::work::{self, Talk, away};

/// Directories of the runs, the comparison of those that came to their end, and what became of the others.
type Found = (Vec<PathBuf>, Option<PyComparison>, Vec<(PathBuf, String)>);

/// Plans a sweep, does its runs so many at a time, and compares them.
#[pyfunction]
pub(crate) fn sweep(
    py: Python<'_>,
    file: PathBuf,
    settings: Vec<String>,
    out: PathBuf,
    jobs: usize,
    device: &str,
    show: Option<Py<PyAny>>,
) -> PyResult<Found> {
    let (plan, folder) = py.detach(|| planned(&file, &settings, &out, jobs, device))?;
    let (ended, asked) = away(py, show.as_ref(), |talk| {
        let processes = LocalProcesses::of_this_program(jobs, device);
        carry_out(&plan, &processes, &mut Seen { talk, ended: 0, total: plan.runs.len() })
    });
    let SweepOutcome::Done(failed) = ended else {
        let text = "stopped; what was running is saved, and the same call resumes it".to_owned();
        return Err(work::stopped(py, asked, text));
    };
    let title = format!("Sweep {}", file.file_stem().unwrap_or_default().to_string_lossy());
    let again = again(&file, &settings, &out, jobs);
    let comparison =
        py.detach(|| report(&plan.runs, &failed, &title, &again, &folder.report())).or_raise()?;
    let words = ReportContext { title, ..ReportContext::default() };
    let comparison = comparison.map(|comparison: Comparison| PyComparison { comparison, words });
    let runs = plan.runs.iter().map(|run| run.folder.clone()).collect();
    let failed = failed
        .into_iter()
        .map(|FailedRun { label, folder, reason, .. }| (folder, format!("{label}: {reason}")));
    Ok((runs, comparison, failed.collect()))
}

fn planned(
    file: &Path,
    settings: &[String],
    out: &Path,
    jobs: usize,
    device_name: &str,
) -> PyResult<(Plan, SweepFolder)> {
    let sweep = Sweep::read(file).or_raise()?;
    let is_elsewhere = matches!(sweep.executor, ExecutorConfig::Slurm(_)) || SweepRecord::is_in(out);
    if is_elsewhere {
        let words = ["looped", "sweep", &file.display().to_string(), "--out", &out.display().to_string()]
            .map(str::to_owned);
        let command = command_line(&words);
        return Err(refused(format!("this sweep's runs are done by others too; use the command: {command}")));
    }
    let mut plan = Plan::new(&sweep, settings, out).or_raise()?;
    plan.share_cores(jobs).or_raise()?;
    refuse_what_does_not_fit(
        &format!("jobs = {jobs}: so many runs at a time need"),
        plan.peak_memory(jobs).or_raise()?,
        &device(device_name).or_raise()?,
        "jobs, training.batch_size, training.n_loop_window, model.n_embd or evaluation.prompts",
    )
    .or_raise()?;
    let folder = SweepFolder::take(&plan, &sweep).or_raise()?;
    Ok((plan, folder))
}

/// The command that repeats the sweep.
fn again(file: &Path, settings: &[String], out: &Path, jobs: usize) -> String {
    let mut words = vec!["looped".to_owned(), "sweep".to_owned(), file.display().to_string()];
    words.extend_from_slice(settings);
    words.extend(["--out".to_owned(), out.display().to_string(), "--jobs".to_owned(), jobs.to_string()]);
    command_line(&words)
}

/// Sees a sweep, and passes on the wish to stop.
struct Seen<'a> {
    talk: &'a Talk,
    ended: usize,
    total: usize,
}

impl SweepObserver for Seen<'_> {
    fn happened(&mut self, event: &SweepEvent<'_>) {
        let mut begun = None;
        match event {
            SweepEvent::FoundFinished { finished: ended, .. } | SweepEvent::Ended { ended, .. } => {
                self.ended = *ended
            }
            SweepEvent::Starts(run) | SweepEvent::Resumes(run) => begun = Some(run.label.clone()),
            _ => {}
        }
        self.talk.say("sweeping", self.ended, self.total);
        if let Some(label) = begun {
            self.talk.add(label);
        }
    }

    fn wants_stop(&self) -> bool {
        self.talk.stopped()
    }
}
