//! Tests on a fake GPU: `scripts/gpu/fake.sh` builds its libraries, which any program finds through `LD_LIBRARY_PATH`.
//!
//! A process has the GPU that it started with. So a test on the fake is two: one marked as ignored, which does the work, and
//! one that runs it in a process of its own.
//!
//! ```ignore
//! #[path = "../../gpu/tests/fake/mod.rs"]
//! mod fake;
//!
//! #[test]
//! fn one_and_one_is_two() {
//!     fake::passes("inner_one_and_one", &[]);
//! }
//!
//! #[test]
//! #[ignore = "run by the test above, on the fake GPU"]
//! fn inner_one_and_one() {
//!     let device = looped_gpu::Device::open(0).expect("a device");
//! }
//! ```
//!
//! A crate that includes this lies in `crates`, and has `tempfile` among its dev-dependencies.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// A folder with the fake libraries, built once; `None`, with a word, where there is no compiler.
pub(crate) fn libraries() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: the fake GPU is for Linux");
        return None;
    }
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "g++".to_owned());
    if Command::new(&compiler).arg("--version").output().is_err() {
        eprintln!("skipped: no C++ compiler {compiler} (CXX names another)");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/gpu/fake.sh");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fake-gpu");
    let output = Command::new(script).arg(&folder).output().expect("the script runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(folder)
}

/// A program that will find the fake libraries. Its kernels are kept in `cache`.
pub(crate) fn command(folder: &Path, program: &Path, cache: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", folder).env("LOOPED_KERNELS", cache);
    command
}

/// Runs an ignored test of this program in a process that finds the fake libraries, with some settings more.
pub(crate) fn under(folder: &Path, test: &str, settings: &[(&str, &str)]) -> Output {
    let cache = tempfile::tempdir().expect("a folder");
    under_cached(folder, cache.path(), test, settings)
}

/// The same, with a cache of compiled kernels.
pub(crate) fn under_cached(folder: &Path, cache: &Path, test: &str, settings: &[(&str, &str)]) -> Output {
    command(folder, &std::env::current_exe().expect("this program"), cache)
        .args([test, "--exact", "--ignored", "--nocapture"])
        .envs(settings.iter().copied())
        .output()
        .expect("the test runs")
}

/// An ignored test of this program passes on the fake GPU. Where there is none, nothing is tested.
pub(crate) fn passes(test: &str, settings: &[(&str, &str)]) {
    let Some(folder) = libraries() else { return };
    let output = under(folder, test, settings);
    let text = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
