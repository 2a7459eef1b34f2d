//! The binary as its user meets it: a process with arguments, files and an exit code.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The experiment that comes with the crate.
const EXPERIMENT: &str = include_str!("../experiments/gru.toml");

/// A folder of one test, with the experiment in it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a folder"));
        place.write("gru.toml", EXPERIMENT);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_my-looped"));
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end; standard output and standard error.
    #[track_caller]
    fn runs(&self, exit_code: i32, arguments: &[&str]) -> (String, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().expect("a process");
        let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert_eq!(status.code(), Some(exit_code), "{stderr}");
        (stdout, stderr)
    }
}

#[test]
fn list_shows_the_parts_with_their_help() {
    let (list, _) = Place::new().runs(0, &["list"]);
    for (tag, help) in [
        ("gru", "A GRU layer over the tokens"),
        ("gated", "The state meets the embedded prompt behind a fixed gate"),
        ("cosine_regression", "y = sqrt(2d/h) sum_j cos(w_j.x + b_j)"),
        ("kernel_mean", "The mean of the seen y"),
        // Still there.
        ("transformer", ""),
    ] {
        let shown = |line: &str| {
            line.trim_start().strip_prefix(tag).is_some_and(|rest| rest.trim_start().starts_with(help))
        };
        assert!(list.lines().any(shown), "no line `{tag}  {help}` in:\n{list}");
    }
}

/// By itself, over other inputs, and beside built-in parts; 2 steps show that a run gets through.
#[test]
fn a_run_trains_and_is_set_beside_the_baseline() {
    let place = Place::new();
    let (table, _) = place.runs(0, &["run", "gru.toml", "training.train_steps=2", "--out", "run"]);
    assert!(table.contains("kernel_mean_1"), "{table}");
    // Where the experiment doesn't name it, `eval` sets the run beside it all the same.
    let plain = ["run", "gru.toml", "training.train_steps=2", "evaluation.baselines=[]", "--out", "plain"];
    let (table, _) = place.runs(0, &plain);
    assert!(!table.contains("kernel_mean"), "{table}");
    let (table, _) = place.runs(0, &["eval", "plain", "--prompts", "8"]);
    assert!(table.contains("kernel_mean_1"), "{table}");
    let model = place.read("run/checkpoints/last/model.safetensors");
    for name in ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"] {
        let full = format!("_backbone.transformer.h.0.{name}");
        assert!(model.windows(full.len()).any(|bytes| bytes == full.as_bytes()), "{full} isn't in the model");
    }
    let shifted =
        r#"task={type="shifted",base={type="cosine_regression"},distribution={type="half_subspace"}}"#;
    place.runs(0, &["run", "gru.toml", shifted, "training.train_steps=2", "--out", "shifted"]);
    let mixed = r#"model.block={type="sequential",blocks=[{type="gru"},{type="lstm"}]}"#;
    let last = r#"model.injector={type="last_n",n=3}"#;
    place.runs(0, &["run", "gru.toml", mixed, last, "training.train_steps=2", "--out", "mixed"]);
}

#[cfg(unix)]
#[test]
fn stopped_and_resumed_a_run_ends_as_if_nothing_had_happened() {
    let place = Place::new();
    let run = |out| ["run", "gru.toml", "training.log_every_steps=1", "--out", out];
    place.runs(0, &run("whole"));

    let mut child = place
        .command(&run("stopped"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process");
    let lines =
        || fs::read_to_string(place.path("stopped/metrics.jsonl")).map_or(0, |text| text.lines().count());
    while lines() < 20 {
        assert!(child.try_wait().expect("a status").is_none(), "the run ended before it was stopped");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let interrupted = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(interrupted.expect("kill").success());
    assert_eq!(child.wait().expect("a status").code(), Some(143));

    place.runs(0, &["resume", "stopped"]);
    for file in ["checkpoints/last/model.safetensors", "eval.json"] {
        let same = place.read(&format!("whole/{file}")) == place.read(&format!("stopped/{file}"));
        assert!(same, "{file} differs");
    }
}

#[test]
fn an_unknown_key_is_reported_as_one_of_a_built_in_part() {
    let place = Place::new();
    let wrong = EXPERIMENT
        .replace("frequency = 0.3", "frequncy = 0.3")
        .replace("type = \"gru\"", "type = \"gru\"\nwidth = 3")
        .replace("gate = 0.5", "gat = 0.5")
        .replace("bandwidth = 1.0", "bandwith = 1.0")
        // A built-in part, for comparison.
        .replace("k = 3", "kk = 3");
    place.write("wrong.toml", &wrong);
    let (_, errors) = place.runs(2, &["run", "wrong.toml", "--out", "run"]);
    for line in [
        "task.frequncy: is unknown; did you mean frequency? Allowed: type, waves, frequency",
        "model.block.width: is unknown; did you mean model.n_embd? Allowed: type",
        "model.injector.gat: is unknown; did you mean gate? Allowed: type, gate",
        "evaluation.baselines.1.kk: is unknown; did you mean k? Allowed: type, k",
        "evaluation.baselines.2.bandwith: is unknown; did you mean bandwidth? Allowed: type, bandwidth",
    ] {
        let placed = errors.lines().find(|shown| shown.ends_with(line));
        let placed = placed.unwrap_or_else(|| panic!("expected {line:?} in:\n{errors}"));
        assert!(placed.starts_with("error: wrong.toml:"), "{placed}");
    }
    assert!(!place.path("run").exists(), "a run directory was made");
}

#[test]
fn values_out_of_range_and_unknown_types_are_reported() {
    let place = Place::new();
    for (setting, message) in [
        ("model.injector.gate=2", "model.injector.gate: is 2; allowed: above 0, at most 1"),
        ("model.injector.gate=0", "model.injector.gate: is 0; allowed: above 0, at most 1"),
        ("task.waves=0", "task.waves: is 0; allowed: 1 to 100000"),
        ("model.block.type=gruu", "model.block.type: is \"gruu\", no known block; did you mean gru?"),
    ] {
        let (_, errors) = place.runs(2, &["check", "gru.toml", setting]);
        assert!(errors.contains(message), "expected {message:?} in:\n{errors}");
    }
}
