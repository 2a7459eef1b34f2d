//! The program as a user meets it: a process with arguments, files and an exit code.
#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses its part; a failed test is a panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A folder of one test, with an experiment in it that takes a moment.
pub(crate) struct Place(TempDir);

/// A transformer of width 8 on prompts of up to 5 points, 12 steps.
pub(crate) const TINY: &str = r#"
name = "tiny"
seed = 3

[task]
type = "linear_regression"

[model]
n_dims = 2
n_positions = 5
n_embd = 8
n_layer = 1

[model.block]
type = "transformer"
n_head = 2

[model.injector]
type = "full"

[training]
batch_size = 4
learning_rate = 1e-3
train_steps = 12
n_loop_window = 2
log_every_steps = 2
save_every_steps = 5
keep_every_steps = 10

[training.curriculum]
dims = { start = 2, end = 2, inc = 1, interval = 1 }
points = { start = 3, end = 5, inc = 1, interval = 3 }
loops = { start = 2, end = 4, inc = 1, interval = 4 }

[evaluation]
prompts = 16
"#;

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::write(place.path("tiny.toml"), TINY).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The program in this folder, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn looped(&self, arguments: &[&str]) -> Ran {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}

/// The program, which ignores no signal.
///
/// What starts the tests may ignore some, as `nohup` does and scripts do for their background jobs. Children inherit that,
/// and the program respects it.
fn program() -> Command {
    // HUP, INT, USR1 and TERM.
    const OURS: u64 = 1 | 1 << 1 | 1 << 9 | 1 << 14;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let program = env!("CARGO_BIN_EXE_looped");
    let mut command = Command::new("env");
    if ignored & OURS == 0 {
        command = Command::new(program);
    } else {
        command.args(["--default-signal=HUP,INT,USR1,TERM", program]);
    }
    // Tests are on nobody's server.
    command.env_remove("MLFLOW_TRACKING_URI");
    command
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// Asserts an exit code, each part of the message, and that nothing panicked.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "expected {part:?} in:\n{}", self.stderr);
        }
        for never in ["panicked", "backtrace"] {
            assert!(!self.stderr.contains(never), "{}", self.stderr);
        }
    }
}

/// Asserts that a text is the expected one, in which `[..]` stands for anything in a line and `...` for any lines;
/// with `LOOPED_BLESS` set, writes it into the test instead.
#[track_caller]
pub(crate) fn shows(text: impl snapbox::IntoData, expected: impl snapbox::IntoData) {
    use snapbox::assert::{Action, Assert};
    let action = if std::env::var_os("LOOPED_BLESS").is_some() { Action::Overwrite } else { Action::Verify };
    Assert::new().action(action).eq(text, expected);
}

/// A run that is slow enough to be stopped, and short enough to wait for.
pub(crate) const LONG: [&str; 3] =
    ["training.train_steps=400", "training.save_every_steps=40", "training.keep_every_steps=200"];

/// Starts the program, its output to nowhere.
pub(crate) fn start(place: &Place, arguments: &[&str]) -> Child {
    place.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(300), "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the metrics have `lines` lines.
#[track_caller]
pub(crate) fn wait_for_lines(metrics: &Path, lines: usize) {
    wait_until("the run gets on", || {
        fs::read_to_string(metrics).map_or(0, |text| text.lines().count()) >= lines
    });
}

/// Sends a signal by its name, as in `TERM`.
#[cfg(unix)]
pub(crate) fn signal(child: &Child, name: &str) {
    use rustix::process::{Pid, Signal, kill_process};
    let signal = match name {
        "TERM" => Signal::TERM,
        "INT" => Signal::INT,
        "HUP" => Signal::HUP,
        "USR1" => Signal::USR1,
        "KILL" => Signal::KILL,
        "STOP" => Signal::STOP,
        "CONT" => Signal::CONT,
        other => panic!("{other}"),
    };
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// All that two equal runs share to the byte: checkpoints, config, results and plots; and metrics without their speed.
/// `run.json` tells what made a run, and is another in each.
pub(crate) fn results(run: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    collect(run, run, &mut files);
    files.sort();
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        if path.is_dir() {
            collect(root, &path, files);
        } else if name == "metrics.jsonl" {
            files.push((name, without_speed(&fs::read_to_string(&path).unwrap()).into_bytes()));
        } else if !path.ends_with(".lock") && !path.ends_with("run.json") && !name.contains("events.") {
            files.push((name, fs::read(&path).unwrap()));
        }
    }
}

fn without_speed(metrics: &str) -> String {
    let line = |line: &str| {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        let fields = record.as_object_mut().unwrap();
        fields.remove("steps_per_second").unwrap();
        fields.remove("cpu_seconds");
        record.to_string()
    };
    metrics.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Asserts that two runs left the same.
#[track_caller]
pub(crate) fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (results(a), results(b));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|file| file.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b));
    let differing: Vec<&String> = a.iter().zip(&b).filter(|(a, b)| a.1 != b.1).map(|(a, _)| &a.0).collect();
    assert!(differing.is_empty(), "these differ: {differing:?}");
}
