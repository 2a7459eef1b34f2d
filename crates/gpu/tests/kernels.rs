//! The kernels on the CPU: `tests/shim` makes a block's threads fibers, and compares every kernel with f64.

use looped_gpu::calls::{Calls, Cores, Seen};
use looped_gpu::{Source, Storage};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

fn shim() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("shim")
}

/// A number for what the checking program is made of.
fn fingerprint(compiler: &str) -> String {
    let folders = [shim(), Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels")];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("a folder"));
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.push(shim().join("..").join("kernels.rs"));
    files.sort();
    let mut hasher = DefaultHasher::new();
    compiler.hash(&mut hasher);
    for file in files {
        (&file, std::fs::read(&file).expect("a file")).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

/// The checking program, built by the system's C++ compiler with both sanitizers, unless it is there from before; `None`,
/// with a word, where there is no compiler.
fn program() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "g++".to_owned());
        if Command::new(&compiler).arg("--version").output().is_err() {
            eprintln!("skipped: no C++ compiler {compiler} (CXX names another)");
            return None;
        }
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernels");
        let (built_from, built) = (program.with_extension("built"), fingerprint(&compiler));
        if program.exists() && std::fs::read_to_string(&built_from).is_ok_and(|before| before == built) {
            return Some(program);
        }
        let _ = std::fs::remove_file(&built_from);
        let output = Command::new(&compiler)
            .current_dir(shim())
            .args([
                "-std=c++20",
                "-O1",
                "-g1",
                "-fsanitize=address,undefined",
                "-fno-sanitize-recover=undefined",
            ])
            .args(["-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-unused-parameter", "-Wno-clobbered"])
            .args(["-Werror", "-I.", "kernels.cpp", "-o"])
            .arg(&program)
            .output()
            .expect("the compiler runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::write(built_from, built).expect("a file");
        Some(program)
    });
    built.as_deref()
}

fn run(mode: &[&str]) -> Option<(Output, String)> {
    let output = Command::new(program()?).args(mode).output().expect("the program runs");
    let text = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
    Some((output, text))
}

#[test]
fn every_kernel_agrees_with_f64_in_each_thread_order() {
    let Some((output, text)) = run(&[]) else { return };
    let failed: Vec<&str> =
        text.lines().filter(|line| line.contains("FAILED") || line.contains("ERROR")).collect();
    assert!(output.status.success() && failed.is_empty(), "{failed:#?}\n{text}");
    assert!(text.lines().filter(|line| line.starts_with("ok ")).count() > 200, "{text}");
}

#[test]
fn a_missing_barrier_is_found() {
    let Some((output, text)) = run(&["barrier"]) else { return };
    assert!(output.status.success(), "{text}");
}

#[test]
fn a_read_past_the_last_row_is_found() {
    let Some((output, text)) = run(&["over-read"]) else { return };
    assert!(!output.status.success() && text.contains("heap-buffer-overflow"), "{text}");
}

#[test]
fn the_host_gives_attention_the_shared_memory_that_it_takes() {
    let Some((_, text)) = run(&["bytes"]) else { return };
    let rows = text
        .lines()
        .filter_map(|line| line.split(' ').map(|word| word.parse().ok()).collect::<Option<Vec<usize>>>());
    let rows: Vec<Vec<usize>> = rows.collect();
    assert_eq!(rows.len(), 4, "{text}");
    for row in rows {
        let of = |storage: Storage, by: Cores| {
            let calls = Calls { source: Source { width: 64, head: 32, storage } };
            let seen = Seen::causal(row[0]);
            [calls.attention_bytes(by, seen), calls.attention_backward_bytes(by, seen)]
        };
        let plain = of(Storage::F32, Cores::Plain);
        let reckoned = [plain, of(Storage::F32, Cores::Tensor), of(Storage::Bf16, Cores::Tensor)].concat();
        assert_eq!(row[1..], reckoned, "{} tokens", row[0]);
    }
}
