//! Tells the program which commit it is built from, for `looped --version` and a run's `run.json`.
//!
//! `LOOPED_COMMIT` wins, for packages that are built outside of a checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    // As it is now: two checkouts that share a target folder share the built script.
    let crate_folder = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let root = Path::new(&crate_folder).join("../..");
    let commit = std::env::var("LOOPED_COMMIT").ok().or_else(|| commit(&root)).unwrap_or_default();
    let dirty = match git(&root, &["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if !commit.is_empty() => (!changes.is_empty()).to_string(),
        _ => String::new(),
    };
    let version = env!("CARGO_PKG_VERSION");
    let version = match (commit.get(..10), dirty.as_str()) {
        (None, _) => version.to_owned(),
        (Some(commit), "true") => format!("{version} ({commit}, with changes)"),
        (Some(commit), _) => format!("{version} ({commit})"),
    };
    println!("cargo::rustc-env=LOOPED_BUILD_VERSION={version}");
    println!("cargo::rustc-env=LOOPED_BUILD_COMMIT={commit}");
    println!("cargo::rustc-env=LOOPED_BUILD_DIRTY={dirty}");
    println!("cargo::rerun-if-env-changed=LOOPED_COMMIT");
    // What moves when a commit is made, and what a commit is compared with: all that the program is built of.
    let logs = git(&root, &["rev-parse", "--git-path", "logs/HEAD"]).map(|path| root.join(path.trim()));
    let sources = std::fs::read_dir(root.join("crates")).into_iter().flatten().flatten();
    let sources = sources.map(|entry| entry.path().join("src"));
    let watched: Vec<PathBuf> = sources.chain(logs).filter(|path| path.exists()).collect();
    watched.iter().for_each(|path| println!("cargo::rerun-if-changed={}", path.display()));
}

/// The commit of a checkout of looped; nothing for a copy of its files inside some other repository.
fn commit(root: &Path) -> Option<String> {
    let top = PathBuf::from(git(root, &["rev-parse", "--show-toplevel"])?.trim());
    let is_ours = top.canonicalize().ok()? == root.canonicalize().ok()?;
    is_ours.then(|| git(root, &["rev-parse", "HEAD"])).flatten().map(|commit| commit.trim().to_owned())
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
