//! Runs as processes of their own on this machine: the end of one, however it comes, is not the end of the others.
//!
//! A process gets a pipe as its input and [`STOP_WITH_STDIN`] in its environment. When the sweep dies, the pipe ends, and
//! the run saves and stops: none trains on without a sweep.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};

use crate::sweep::executor::{Ending, Executor, Job};
use crate::sweep::plan::{PlannedRun, RunState};
use crate::sweep::program::Program;

/// The exit codes of a run that a signal has stopped: 128 and the number of SIGHUP, SIGINT, SIGUSR1 or SIGTERM.
const STOPPED: [i32; 4] = [129, 130, 138, 143];

/// The environment variable that asks a `looped run` or `resume` to save and stop when its standard input ends.
const STOP_WITH_STDIN: &str = "LOOPED_STOP_WITH_STDIN";

/// Starts a `looped` process for each run.
#[derive(Clone, Debug)]
pub struct LocalProcesses {
    program: Program,
    jobs: usize,
    device: String,
}

/// A process, and where it writes. Dropping it ends the child's input.
struct Process {
    child: Child,
    folder: PathBuf,
    log: PathBuf,
}

impl LocalProcesses {
    /// Up to `jobs` processes of this very program, which must have the commands of `looped`, computing on `device`.
    #[must_use]
    pub fn of_this_program(jobs: usize, device: &str) -> Self {
        Self { program: Program::running(), jobs, device: device.to_owned() }
    }
}

impl Executor for LocalProcesses {
    fn slots(&self) -> usize {
        self.jobs
    }

    fn start(&self, run: &PlannedRun) -> io::Result<Box<dyn Job>> {
        for folder in [&run.log, &run.folder].into_iter().filter_map(|path| path.parent()) {
            fs::create_dir_all(folder)?;
        }
        let log = File::create(&run.log)?;
        let mut command = self.program.command();
        if run.state() == RunState::New {
            command.arg("run").arg(&run.config).arg("--out").arg(&run.folder);
        } else {
            command.arg("resume").arg(&run.folder).args(run.evaluation_changes());
        }
        command.args(["--device", &self.device]).stdin(Stdio::piped()).env(STOP_WITH_STDIN, "1");
        command.stdout(log.try_clone()?).stderr(log);
        // A group of its own: Ctrl-C reaches the sweep alone, which passes it on once.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Ok(Box::new(Process { child: command.spawn()?, folder: run.folder.clone(), log: run.log.clone() }))
    }
}

impl Job for Process {
    fn ended(&mut self) -> io::Result<Option<Ending>> {
        Ok(self.child.try_wait()?.map(|status| match status.code() {
            Some(0) => Ending::Finished,
            Some(code) if STOPPED.contains(&code) => Ending::Stopped(reason(status, &self.log)),
            _ if has_diverged(&self.folder) => Ending::Diverged(reason(status, &self.log)),
            _ => Ending::Failed(reason(status, &self.log)),
        }))
    }

    /// Sends SIGTERM; a run answers by saving. Where there are no signals the run is left to end by itself.
    fn ask_to_stop(&mut self) {
        #[cfg(unix)]
        {
            use rustix::process::{Pid, Signal, kill_process};
            // It can only fail if the run has ended meanwhile.
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
    }

    fn end_at_once(&mut self) {
        // It can only fail if the run has ended meanwhile.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the last session in a run's directory ended for a loss or gradient that was no number.
fn has_diverged(folder: &Path) -> bool {
    let text = fs::read(folder.join("run.json")).unwrap_or_default();
    let run: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    run["sessions"].as_array().and_then(|all| all.last()).is_some_and(|last| last["end"]["how"] == "diverged")
}

/// How a run ended and what it said last.
fn reason(status: ExitStatus, log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let said = text.rfind("error: ").map_or_else(|| last_line(log), |start| text[start..].trim().to_owned());
    let killed = if was_killed(status) { "; the system kills so where memory runs out" } else { "" };
    format!("{status}{killed}; {said}\n  log: {}", log.display())
}

#[cfg(unix)]
fn was_killed(status: ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(rustix::process::Signal::KILL.as_raw())
}

#[cfg(not(unix))]
fn was_killed(_: ExitStatus) -> bool {
    false
}

/// What a run has said last.
pub(super) fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no output yet").trim().to_owned()
}
