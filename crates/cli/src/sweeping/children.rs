//! Runs as processes of their own, several at a time: the end of one, however it comes, is not the end of the others.
//!
//! When a sweep is killed, its runs live on. The next sweep in the same folder waits for those as for its own.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use looped_train::RunDir;

use crate::comparison::clock;
use crate::failure::{Failure, Outcome};
use crate::stop::Stop;
use crate::sweeping::plan::{Plan, Planned, State};

/// From one look at the processes to the next.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// From one report on what is running to the next.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// What starts the runs.
pub(crate) struct Workers {
    /// The program itself.
    program: PathBuf,
    /// Most runs at a time.
    jobs: usize,
    device: String,
    stop: Stop,
}

/// A run that did not come to its end.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) label: String,
    pub(crate) folder: PathBuf,
    /// How it ended and what it said, and where more is to be read.
    pub(crate) reason: String,
}

/// A run in work.
struct Running<'a> {
    run: &'a Planned,
    /// None if another sweep has started it, and was killed.
    child: Option<Child>,
    begun: Instant,
}

/// How far the work is.
struct Progress<'a> {
    total: usize,
    ended: usize,
    waiting: VecDeque<&'a Planned>,
    running: Vec<Running<'a>>,
    failed: Vec<Failed>,
}

impl Workers {
    pub(crate) fn new(jobs: usize, device: &str) -> Outcome<Self> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::failed(format!("cannot find this program's own file: {error}")))?;
        Ok(Self { program, jobs, device: device.to_owned(), stop: Stop::listen()? })
    }

    /// Brings every run to its end or its failure. Asked to stop, lets the running ones save, and starts no more.
    pub(crate) fn work(&self, plan: &Plan) -> Outcome<Vec<Failed>> {
        let waiting: VecDeque<_> = plan.runs.iter().filter(|run| run.state() != State::Finished).collect();
        let total = plan.runs.len();
        let ended = total - waiting.len();
        if ended > 0 {
            eprintln!("{ended} of {total} runs are finished already");
        }
        let mut progress = Progress { total, ended, waiting, running: Vec::new(), failed: Vec::new() };
        let (mut reported, mut stopping) = (Instant::now(), false);
        loop {
            if self.stop.asked() && !stopping {
                stopping = true;
                // Those of a killed sweep are not ours to stop.
                progress.running.retain(|running| running.child.is_some());
                eprintln!("stopping: waiting for {} to save", count(progress.running.len(), "run"));
                progress.running.iter().filter_map(|running| running.child.as_ref()).for_each(ask_to_stop);
            }
            while !stopping && progress.running.len() < self.jobs {
                let Some(run) = progress.waiting.pop_front() else { break };
                match self.start(plan, run) {
                    Ok(child) => progress.running.push(Running { run, child, begun: Instant::now() }),
                    Err(error) => progress.fail(run, format!("could not be started: {error}")),
                }
            }
            if progress.running.is_empty() {
                break;
            }
            std::thread::sleep(LOOK_EVERY);
            progress.collect();
            if reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                progress.report();
            }
        }
        if stopping { Err(Failure::Interrupted) } else { Ok(progress.failed) }
    }

    /// Starts a run, or goes on with it; no process if it is at work without us.
    fn start(&self, plan: &Plan, run: &Planned) -> std::io::Result<Option<Child>> {
        if RunDir::is_in_use(&run.folder) {
            eprintln!(
                "{}: is at work already, started by a sweep that was killed; waiting for it",
                run.label
            );
            return Ok(None);
        }
        let begun = run.state() == State::Begun;
        for folder in [&run.log, &run.folder].into_iter().filter_map(|path| path.parent()) {
            fs::create_dir_all(folder)?;
        }
        let log = File::create(&run.log)?;
        let mut command = Command::new(&self.program);
        if begun {
            // `resume` takes a report for the sign that nothing is left to do; here something is.
            let _ = fs::remove_file(run.folder.join("report.html"));
            command.arg("resume").arg(&run.folder);
        } else {
            command.arg("run").arg(&plan.base).args(&run.overrides).arg("--out").arg(&run.folder);
        }
        command.args(["--device", &self.device]).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // A group of its own: Ctrl-C reaches the sweep alone, which passes it on once. Twice would end a run unsaved.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        eprintln!("{}: {}", run.label, if begun { "goes on" } else { "starts" });
        command.spawn().map(Some)
    }
}

impl<'a> Progress<'a> {
    /// Looks which runs have ended since the last time, and how.
    fn collect(&mut self) {
        for mut running in std::mem::take(&mut self.running) {
            let Some(child) = &mut running.child else {
                if RunDir::is_in_use(&running.run.folder) {
                    self.running.push(running);
                } else {
                    self.left_alone(&running);
                }
                continue;
            };
            match child.try_wait() {
                Ok(None) => self.running.push(running),
                // A process that lost the race for the folder against one of a killed sweep.
                Ok(Some(status)) if !status.success() && RunDir::is_in_use(&running.run.folder) => {
                    self.running.push(Running { child: None, ..running });
                }
                Ok(Some(status)) => self.end(&running, status),
                Err(error) => self.fail(running.run, format!("was lost: {error}")),
            }
        }
    }

    /// A run that was at work without us has ended: well, or so that it is ours to go on with.
    fn left_alone(&mut self, running: &Running<'a>) {
        if running.run.state() == State::Finished {
            self.ended += 1;
            eprintln!("[{}/{}] {}: finished", self.ended, self.total, running.run.label);
        } else {
            self.waiting.push_front(running.run);
        }
    }

    fn end(&mut self, running: &Running, status: ExitStatus) {
        self.ended += 1;
        let how = match status.code() {
            Some(0) => "finished",
            Some(130) => "stopped",
            _ => "FAILED",
        };
        let Running { run, begun, .. } = running;
        let time = clock(begun.elapsed().as_secs_f64());
        eprintln!("[{}/{}] {}: {how} after {time}", self.ended, self.total, run.label);
        if !status.success() {
            self.fail(run, reason(status, &run.log));
        }
    }

    fn fail(&mut self, run: &Planned, reason: String) {
        self.failed.push(Failed { label: run.label.clone(), folder: run.folder.clone(), reason });
    }

    fn report(&self) {
        for Running { run, .. } in &self.running {
            eprintln!("{}: {}", run.label, last_line(&run.log));
        }
    }
}

/// Sends SIGTERM; a run answers by saving. Where there are no signals the run is left to end by itself.
fn ask_to_stop(child: &Child) {
    if cfg!(unix) {
        // The shell's own `kill`, which every system has; it can only fail if the run has ended meanwhile.
        let id = child.id().to_string();
        let _ =
            Command::new("sh").args(["-c", "kill -TERM \"$1\"", "sh", &id]).stderr(Stdio::null()).status();
    }
}

/// How a run ended and what it said last.
fn reason(status: ExitStatus, log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let said = text.rfind("error: ").map_or_else(|| last_line(log), |start| text[start..].trim().to_owned());
    format!("{status}; {said}\n  log: {}", log.display())
}

fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no word yet").trim().to_owned()
}

/// As in `1 run`, `2 runs`.
fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
