//! Folders that a user can't write, mount points, and files that may not grow: one message, and nothing is lost.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod common;

use std::fs;
use std::process::Command;

use common::{Place, Ran, assert_same};

/// Runs a shell script in the folder of a test; `looped` is the program.
fn by_shell(place: &Place, shell: &[&str], script: &str) -> Ran {
    let program = env!("CARGO_BIN_EXE_looped");
    let output = Command::new(shell[0])
        .args(&shell[1..])
        .arg(format!("looped() {{ '{program}' \"$@\"; }}\n{script}"))
        .current_dir(place.path(""))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A shell that may mount, as the root of a namespace of its own.
const ROOT: [&str; 5] = ["unshare", "-r", "-m", "sh", "-ec"];

/// Whether this system lets users have such a shell; says so where it doesn't.
fn may_mount(place: &Place) -> bool {
    let script = ["-r", "-m", "sh", "-c", "mkdir tried && mount -t tmpfs tmpfs tried"];
    match Command::new("unshare").args(script).current_dir(place.path("")).output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            println!("skipped: no mounts here: {}", String::from_utf8_lossy(&output.stderr).trim());
            false
        }
        Err(error) => {
            println!("skipped: unshare: {error}");
            false
        }
    }
}

#[test]
fn results_go_to_a_mount_point() {
    let place = Place::new();
    if !may_mount(&place) {
        return;
    }
    place.looped(&["run", "tiny.toml", "--out", "a"]).ok();
    place.looped(&["run", "tiny.toml", "model.n_layer=2", "--out", "b"]).ok();
    for command in [
        "run tiny.toml --out mount",
        "compare a b --out mount",
        "sweep tiny.toml 'model.n_layer=[1, 2]' --out mount",
    ] {
        let report =
            if command.starts_with("sweep") { "mount/report/report.html" } else { "mount/report.html" };
        let script = format!("mkdir -p mount; mount -t tmpfs tmpfs mount; looped {command}; ls {report}");
        let ran = by_shell(&place, &ROOT, &script).ok();
        assert!(ran.stdout.ends_with(&format!("{report}\n")), "{command}: {}", ran.stdout);
    }
}

#[test]
fn a_read_only_run_is_looked_at_and_what_would_change_it_is_refused_in_a_line() {
    let place = Place::new();
    if !may_mount(&place) {
        return;
    }
    place.looped(&["run", "tiny.toml", "--out", "run"]).ok();
    let before = common::results(&place.path("run"));
    let mounted = "mkdir -p ro; mount --bind run ro; mount -o remount,ro,bind ro; ! touch ro/x 2>/dev/null";
    let looks = [
        "looped eval ro",
        "looped probe ro --prompts 16",
        "looped match ro --prompts 16",
        "looped exits ro --prompts 16",
        "looped stability ro --loops 8",
        "looped compare ro run --out compared",
        "looped check ro",
        "looped ls ro",
        "looped predict ro --data prompts.safetensors --out predicted.safetensors",
    ];
    write_prompts(&place);
    by_shell(&place, &ROOT, &format!("{mounted}; {}", looks.join("; "))).ok();
    for (command, code) in [
        ("resume ro training.train_steps=20", 1),
        ("eval ro --save x", 1),
        ("report ro", 1),
        ("run tiny.toml --out ro/new", 1),
        ("sweep tiny.toml --seeds 0..2 --out ro/new", 1),
        ("compare ro run --out ro/new", 1),
        ("predict ro --data prompts.safetensors --out ro/p.safetensors", 1),
    ] {
        let ran = by_shell(&place, &ROOT, &format!("{mounted}; looped {command}"));
        let errors = ran.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "{command}: {}", ran.stderr);
        ran.fails(code, &["error: ro/", "Read-only file system"]);
    }
    assert!(before == common::results(&place.path("run")));
}

/// Prompts for `predict`.
fn write_prompts(place: &Place) {
    use safetensors::tensor::{Dtype, TensorView};
    let values: Vec<u8> = (0..18).flat_map(|i| (i as f32 * 0.1).to_le_bytes()).collect();
    let tensors = [
        ("xs", TensorView::new(Dtype::F32, vec![2, 3, 2], &values[..48]).unwrap()),
        ("ys", TensorView::new(Dtype::F32, vec![2, 3], &values[48..]).unwrap()),
    ];
    fs::write(place.path("prompts.safetensors"), safetensors::serialize(tensors, None).unwrap()).unwrap();
}

#[test]
fn a_run_whose_files_may_not_grow_ends_with_a_message_and_resumes_to_the_same_bits() {
    let place = Place::new();
    let settings = "training.train_steps=300 training.log_every_steps=1 training.save_every_steps=20";
    // 20 kB: more than a checkpoint takes, less than the log of all steps.
    let limited =
        by_shell(&place, &["sh", "-c"], &format!("ulimit -f 40; looped run tiny.toml {settings} --out run"));
    limited.fails(1, &["error: ", "run/", "File too large", "The run directory is run"]);
    let saved = place.read("run/checkpoints/last/state.json");
    assert!(saved.contains("\"step\""), "{saved}");
    assert!(!place.path("run/eval.json").exists());

    place.looped(&["resume", "run"]).ok();
    let arguments: Vec<&str> =
        ["run", "tiny.toml", "--out", "undisturbed"].into_iter().chain(settings.split(' ')).collect();
    place.looped(&arguments).ok();
    assert_same(&place.path("run"), &place.path("undisturbed"));
}

#[test]
fn what_would_not_fit_is_refused_before_it_is_allocated() {
    let place = Place::new();
    place.looped(&["run", "tiny.toml", "training.threads=1", "--out", "run"]).ok();
    write_prompts(&place);
    // 4 GB of addresses.
    let refuses = |command: &str, parts: &[&str]| {
        let ran = by_shell(&place, &["sh", "-c"], &format!("ulimit -v 4000000; looped {command}"));
        ran.fails(2, &[&["GB of memory, and ", "GB are free here; lower "], parts].concat());
    };
    let many = "model.n_embd=1024 model.block.n_head=1 model.n_layer=32";
    refuses(&format!("run tiny.toml {many} --out big"), &["this experiment needs", "model.n_embd"]);
    assert!(!place.path("big").exists());
    refuses("run tiny.toml evaluation.prompts=100000000 --out big", &["this experiment needs"]);
    refuses("eval run --prompts 100000000", &["this evaluation needs", "lower --prompts or --loops"]);
    refuses("eval run --loops 1000000", &["this evaluation needs"]);
    refuses("probe run --prompts 1000000", &["probing needs", "lower --prompts"]);
    // 2 prompts of 3 points, and the limit is near.
    let predict = "predict run --data prompts.safetensors --out p.safetensors --loops";
    let limit =
        |command: &str| by_shell(&place, &["sh", "-c"], &format!("ulimit -v 300000; looped {command}"));
    limit(&format!("{predict} 1000000"))
        .fails(2, &["the predictions need", "lower --loops, or split the prompts"]);
    assert!(!place.path("p.safetensors").exists());
    limit(&format!("{predict} 10")).ok();
}
