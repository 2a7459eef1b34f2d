//! Sweeps whose runs are done by several processes in one folder: every run once, whoever dies meanwhile.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{Place, Ran, assert_same, wait_until};
use serde_json::Value;

const SWEEP: &str = "
base = \"tiny.toml\"
seeds = [0, 1, 2]
[[variant]]
name = \"all tokens\"
[[variant]]
name = \"last 4\"
set = { \"model.injector\" = { type = \"last_n\", n = 4 } }
";

fn place() -> Place {
    let place = Place::new();
    fs::write(place.path("sweep.toml"), SWEEP).unwrap();
    place
}

fn shard(place: &Place, which: &str) -> Child {
    quiet(&mut place.command(&["sweep", "out", "--shard", which, "--jobs", "2"]))
}

fn quiet(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn names(place: &Place, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(place.path(folder)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Asserts that the runs in `out` are those of a sweep that one process has done.
fn assert_as_by_one(place: &Place) {
    place.looped(&["sweep", "sweep.toml", "--out", "one", "training.threads=1"]).ok();
    let runs = names(place, "one/runs");
    assert_eq!((runs.len(), names(place, "out/runs")), (6, runs.clone()));
    for run in runs {
        assert_same(&place.path(&format!("one/runs/{run}")), &place.path(&format!("out/runs/{run}")));
    }
}

#[test]
fn shards_do_the_runs_of_a_plan_and_a_report_compares_them() {
    let place = place();
    let plan = place.looped(&["sweep", "sweep.toml", "--out", "out", "--plan", "training.threads=1"]).ok();
    assert!(
        plan.stderr.contains("6 runs planned; do a part of them by `looped sweep out --shard 0/N`"),
        "{}",
        plan.stderr
    );
    place.looped(&["sweep", "out", "--report"]).fails(1, &["none of the sweep's 6 runs is finished"]);
    let workers = ["0/3", "1/3", "2/3"].map(|which| shard(&place, which));
    workers.into_iter().for_each(|mut worker| assert!(worker.wait().unwrap().success()));
    let report = place.looped(&["sweep", "out", "--report"]).ok();
    assert!(report.stdout.contains("last 4"), "{}", report.stdout);
    assert!(
        place.read("out/report/report.md").contains("looped sweep sweep.toml training.threads=1 --out out")
    );
    // Each run was held once.
    assert!(names(&place, "out/leases").iter().all(|name| name.ends_with(".1")));
    assert_as_by_one(&place);
}

#[test]
fn two_that_want_the_same_run_do_it_once_and_a_dead_one_is_replaced() {
    let place = place();
    let plan = ["sweep", "sweep.toml", "--out", "out", "--plan", "training.threads=1"];
    assert!(place.command(&plan).env("LOOPED_LEASE_SECONDS", "1.5").status().unwrap().success());
    // All want all runs; two of three are killed, with the runs that they have begun.
    let mut workers = [0, 1, 2].map(|_| shard(&place, "0/1"));
    std::thread::sleep(Duration::from_millis(300));
    for worker in &mut workers[..2] {
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
    let begun = Instant::now();
    let ended = workers[2].wait().unwrap();
    assert!(ended.success() && begun.elapsed() < Duration::from_secs(60), "{ended}");
    assert_as_by_one(&place);
}

#[test]
fn what_a_sweep_here_adds_is_there_for_the_others_too() {
    let place = place();
    let planned = || -> Value { serde_json::from_str(&place.read("out/plan.json")).unwrap() };
    let names = |plan: &Value| -> Vec<String> {
        let runs = plan["runs"].as_array().unwrap().iter();
        runs.map(|run| run["stem"].as_str().unwrap().to_owned()).collect()
    };
    let sweep = ["sweep", "sweep.toml", "--out", "out", "training.train_steps=2", "training.threads=1"];
    let mut plan = place.command(&[&sweep[..], &["--plan"]].concat());
    assert!(plan.env("LOOPED_LEASE_SECONDS", "7").status().unwrap().success());
    let before = names(&planned());
    fs::write(place.path("sweep.toml"), SWEEP.replace("[0, 1, 2]", "[0, 1, 2, 3]")).unwrap();
    place.looped(&sweep).ok();
    // By whose numbers others know the runs, and for how long they hold them, stays.
    let after = names(&planned());
    assert_eq!(after[..6], before);
    assert_eq!(after[6..], ["all-tokens-seed3", "last-4-seed3"]);
    assert_eq!(planned()["lease"]["seconds"], 7.0);
    place.looped(&["sweep", "out", "--report"]).ok();
    let report: Value = serde_json::from_str(&place.read("out/report/comparison.json")).unwrap();
    for variant in report["variants"].as_array().unwrap() {
        assert_eq!(variant["seeds"], serde_json::json!([0, 1, 2, 3]));
    }
}

/// Processes as on other machines: `elsewhere.c` has what differs there.
#[cfg(target_os = "linux")]
fn as_elsewhere(place: &Place, which: &str, variable: &str, value: &str) -> Child {
    let library = place.path("elsewhere.so");
    if !library.exists() {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/elsewhere.c");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
        assert!(built.unwrap().success());
    }
    let mut command = place.command(&["sweep", "out", "--shard", which, "--jobs", "2"]);
    // Nor do locks help, which processes of one machine have.
    quiet(command.env("LD_PRELOAD", library).env("NO_LOCKS", "1").env(variable, value))
}

#[cfg(target_os = "linux")]
#[test]
fn machines_whose_clocks_are_days_apart_do_each_run_once() {
    let place = place();
    let longer = ["training.threads=1", "training.train_steps=3000", "training.save_every_steps=100"];
    place.looped(&[&["sweep", "sweep.toml", "--out", "out", "--plan"][..], &longer].concat()).ok();
    // All of them want all runs; the first to come has one when the others do.
    let behind = as_elsewhere(&place, "0/1", "CLOCK_AHEAD", "-200000");
    wait_until("the first run is held", || place.path("out/leases").exists());
    let ahead = as_elsewhere(&place, "0/1", "CLOCK_AHEAD", "200000");
    let workers = [ahead, behind, shard(&place, "0/1")];
    workers.into_iter().for_each(|mut worker| assert!(worker.wait().unwrap().success()));
    let sessions = |run: &str| -> Vec<String> {
        let run: Value = serde_json::from_str(&place.read(&format!("{run}/run.json"))).unwrap();
        let sessions = run["sessions"].as_array().unwrap().iter();
        sessions.map(|session| session["started"].as_str().unwrap()[..10].to_owned()).collect()
    };
    assert_eq!(names(&place, "out/runs").len(), 6);
    for run in names(&place, "out/runs") {
        assert_eq!(sessions(&format!("out/runs/{run}")).len(), 1, "{run}");
    }
    place.looped(&["run", "tiny.toml", "training.train_steps=2", "--out", "now"]).ok();
    let [first, now] = ["out/runs/all-tokens-seed0", "now"].map(sessions);
    assert!(first < now, "the clocks weren't apart");
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_system_without_locks_is_good_enough() {
    let place = place();
    place.looped(&["sweep", "sweep.toml", "--out", "out", "--plan", "training.threads=1"]).ok();
    let workers = [0, 1].map(|_| as_elsewhere(&place, "0/1", "NO_LOCKS", "1"));
    workers.into_iter().for_each(|mut worker| assert!(worker.wait().unwrap().success()));
    assert_as_by_one(&place);
}

#[test]
fn what_is_asked_of_the_wrong_place_says_where_to_ask() {
    let place = place();
    place
        .looped(&["sweep", "gone", "--shard", "0/2"])
        .fails(2, &["--shard is asked of the folder of a sweep, and gone isn't there; is it shared with this machine, "]);
    place
        .looped(&["sweep", "sweep.toml", "--out", "out", "--shard", "0/2"])
        .fails(2, &["--shard is asked of the folder of a sweep, and sweep.toml isn't one"]);
    place.looped(&["sweep", "sweep.toml"]).fails(2, &["--out is needed"]);
    place.looped(&["sweep", "sweep.toml", "--out", "out", "--wait"]).fails(2, &["--executor slurm"]);
    fs::create_dir(place.path("empty")).unwrap();
    place.looped(&["sweep", "empty", "--shard", "0/2"]).fails(
        2,
        &["empty is not the folder of a sweep", "plan.json", "`looped sweep SWEEP.toml --out empty --plan`"],
    );
    place.looped(&["sweep", "sweep.toml", "--out", "out", "--plan"]).ok();
    place.looped(&["sweep", "out"]).fails(2, &["is the folder of a sweep; add --status"]);
    place.looped(&["sweep", "out", "--shard", "2/2"]).fails(2, &["expected INDEX/COUNT"]);
    place
        .looped(&["sweep", "out", "--shard", "7/9"])
        .fails(2, &["--shard 7/9: has none of the sweep's runs"]);
    place.looped(&["sweep", "out", "--status"]).fails(2, &["was never handed to Slurm", "--executor slurm"]);
}

/// The program where Slurm's commands are these scripts, and no others.
fn with_slurm(place: &Place, arguments: &[&str], scripts: &[(&str, &str)]) -> Ran {
    let programs = place.path("programs");
    fs::create_dir_all(&programs).unwrap();
    for (name, script) in scripts {
        fs::write(programs.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(programs.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    // What the test and the scripts may start besides.
    for name in ["env", "cat", "rm"] {
        let _ = std::os::unix::fs::symlink(format!("/usr/bin/{name}"), programs.join(name));
    }
    let mut command = place.command(arguments);
    let Output { status, stdout, stderr } = command.env("PATH", programs).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

const TO_SLURM: [&str; 6] = ["sweep", "sweep.toml", "--out", "out", "--executor", "slurm"];

#[test]
fn without_slurm_a_sweep_is_refused_before_anything_is_written() {
    let place = place();
    let parts = ["sbatch isn't on this machine", "--executor local"];
    with_slurm(&place, &TO_SLURM, &[]).fails(2, &parts);
    assert!(!place.path("out").exists());
}

#[test]
fn slurm_has_all_of_a_sweep_or_nothing() {
    let place = place();
    let sbatch = "case \"$*\" in *--version*) echo slurm 1;; *--dependency*) echo 'error: enough' >&2; exit 1;; *) echo 17;; esac";
    let scripts = [("sbatch", sbatch), ("scancel", "echo \"$*\" > cancelled")];
    with_slurm(&place, &TO_SLURM, &scripts).fails(2, &["sbatch: error: enough"]);
    assert_eq!(place.read("cancelled"), "17\n");
    assert!(!place.path("out/slurm/submission.json").exists());
}

#[test]
fn a_controller_that_is_away_for_a_moment_ends_no_waiting() {
    let place = place();
    let sbatch = "case \"$*\" in *--version*) echo slurm 1;; *) echo 17;; esac";
    // It is asked once when the sweep is handed in and three times for a look, then isn't there, then has nothing left to do.
    let squeue = "printf x >> said; case \"$(cat said)\" in \
        x|xx|xxx|xxxx) echo '0|RUNNING|n1|None';; \
        xxxxx) echo 'error: Unable to contact slurm controller' >&2; exit 1;; \
        esac";
    let wait = [&TO_SLURM[..], &["--wait"]].concat();
    let waited = with_slurm(
        &place,
        &wait,
        &[("sbatch", sbatch), ("squeue", squeue), ("sacct", "exit 1"), ("scontrol", "exit 1")],
    );
    assert_eq!(waited.stderr.matches("Slurm doesn't answer; asking again").count(), 1, "{}", waited.stderr);
    waited.fails(1, &["Unable to contact slurm controller", "6 of 6 runs aren't finished", "--resubmit"]);
}

#[test]
fn what_slurm_is_asked_for_stands_in_the_sweep_file() {
    let place = place();
    let with = |table: &str| {
        fs::write(place.path("sweep.toml"), format!("{SWEEP}[executor]\n{table}")).unwrap();
        place.looped(&["sweep", "sweep.toml", "--out", "out", "--dry-run"])
    };
    with("type = \"slurm\"\npartition = \"main\"\ntime = \"1:00:00\"\ncpus = 4\nprologue = [\"module load cuda\"]\n").ok();
    with("type = \"slurm\"\npartitoin = \"main\"\n")
        .fails(2, &["executor.partitoin: is unknown; did you mean partition?"]);
    with("type = \"slurm\"\ncpus = 0\n").fails(2, &["executor.cpus: is 0; allowed: 1 to 1024"]);
    with("type = \"slrum\"\n").fails(2, &["executor.type: is \"slrum\"; did you mean slurm?"]);
}
