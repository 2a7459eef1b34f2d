//! Sweeps whose runs are done by several processes in one folder: every run once, whoever dies meanwhile.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Place, assert_same};

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
    let mut command = place.command(&["sweep", "out", "--shard", which, "--jobs", "2"]);
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
fn what_is_asked_of_the_wrong_place_says_where_to_ask() {
    let place = place();
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

/// Where Slurm's commands aren't.
#[test]
fn without_slurm_a_sweep_is_planned_and_said_to_be_for_nobody() {
    let place = place();
    // With the one program that the test itself may start.
    fs::create_dir(place.path("programs")).unwrap();
    std::os::unix::fs::symlink("/usr/bin/env", place.path("programs/env")).unwrap();
    let mut command = place.command(&["sweep", "sweep.toml", "--out", "out", "--executor", "slurm"]);
    let ran = command.env("PATH", place.path("programs")).output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert!(said.contains("sbatch isn't on this machine") && said.contains("--executor local"), "{said}");
    assert!(!place.path("out/slurm/looped").exists());
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
