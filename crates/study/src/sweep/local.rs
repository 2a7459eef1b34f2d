//! Runs as processes of their own on this machine: the end of one, however it comes, is not the end of the others.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::sweep::executor::{Ending, Executor, Job};
use crate::sweep::plan::{PlannedRun, RunState};

/// The exit codes of a run that a signal has stopped: 128 and the number of SIGHUP, SIGINT, SIGUSR1 or SIGTERM.
const STOPPED: [i32; 4] = [129, 130, 138, 143];

/// Starts a `looped` process for each run.
#[derive(Clone, Debug)]
pub struct LocalProcesses {
    program: PathBuf,
    jobs: usize,
    device: String,
}

/// A process, and where it writes.
struct Process {
    child: Child,
    log: PathBuf,
}

impl LocalProcesses {
    /// Up to `jobs` processes of this very program, which must have the commands of `looped`, computing on `device`.
    #[must_use]
    pub fn of_this_program(jobs: usize, device: &str) -> Self {
        Self { program: this_program(), jobs, device: device.to_owned() }
    }
}

/// The file that this program was started from, even where that file has since been replaced or removed.
fn this_program() -> PathBuf {
    let running = Path::new("/proc/self/exe");
    if running.exists() { running.to_owned() } else { std::env::current_exe().unwrap_or_default() }
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
        let mut command = Command::new(&self.program);
        if run.state() == RunState::New {
            command.arg("run").arg(&run.config).arg("--out").arg(&run.folder);
        } else {
            // `resume` takes a report for the sign that nothing is left to do; here something is.
            let _ = fs::remove_file(run.folder.join("report.html"));
            command.arg("resume").arg(&run.folder);
        }
        command.args(["--device", &self.device]).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // A group of its own: Ctrl-C reaches the sweep alone, which passes it on once.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Ok(Box::new(Process { child: command.spawn()?, log: run.log.clone() }))
    }
}

impl Job for Process {
    fn ended(&mut self) -> io::Result<Option<Ending>> {
        Ok(self.child.try_wait()?.map(|status| match status.code() {
            Some(0) => Ending::Finished,
            Some(code) if STOPPED.contains(&code) => Ending::Stopped(reason(status, &self.log)),
            _ => Ending::Failed(reason(status, &self.log)),
        }))
    }

    /// Sends SIGTERM; a run answers by saving. Where there are no signals the run is left to end by itself.
    fn ask_to_stop(&mut self) {
        if cfg!(unix) {
            // The shell's own `kill`, which every system has; it can only fail if the run has ended meanwhile.
            let id = self.child.id().to_string();
            let _ = Command::new("sh")
                .args(["-c", "kill -TERM \"$1\"", "sh", &id])
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// How a run ended and what it said last.
fn reason(status: ExitStatus, log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let said = text.rfind("error: ").map_or_else(|| last_line(log), |start| text[start..].trim().to_owned());
    format!("{status}; {said}\n  log: {}", log.display())
}

/// What a run has said last.
pub(super) fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no output yet").trim().to_owned()
}
