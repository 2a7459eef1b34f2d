//! Where looped's own crates lie: a new crate depends on them by path, since no registry has them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};

/// The workspace that this program was built from, as long as it stays where it was.
const BUILT_FROM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A checkout of looped's workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Its folder, absolute.
    pub(crate) path: PathBuf,
    /// Its `Cargo.lock`: with a copy of it a new crate is built of the very versions that looped is tested with.
    pub(crate) lock: String,
}

impl Workspace {
    /// The workspace at `given`, or else the one that this program was built from.
    pub(crate) fn find(given: Option<&Path>) -> Outcome<Self> {
        let path = given.unwrap_or(Path::new(BUILT_FROM));
        let refuse = |why: String| {
            Failure::usage(match given {
                Some(given) => format!("--looped {}: {why}", given.display()),
                None => format!(
                    "looped's source is no longer at {}, where this program was built: {why}.\n\
                     Give the folder of a checkout by --looped PATH",
                    path.display()
                ),
            })
        };
        let path = path.canonicalize().map_err(|error| refuse(error.to_string()))?;
        for needed in ["crates/cli", "crates/core", "crates/tasks", "crates/testing"] {
            if !path.join(needed).join("Cargo.toml").is_file() {
                return Err(refuse(format!("it isn't looped's workspace: it has no {needed}/Cargo.toml")));
            }
        }
        if path.to_str().is_none_or(|path| path.chars().any(char::is_control)) {
            let why = "its path isn't UTF-8, or has a control character, and can't stand in a Cargo.toml";
            return Err(refuse(why.to_owned()));
        }
        let lock = fs::read_to_string(path.join("Cargo.lock"))
            .map_err(|error| refuse(format!("Cargo.lock cannot be read: {error}")))?;
        Ok(Self { path, lock })
    }

    /// Every crate that looped is built of, its own among them.
    pub(crate) fn packages(&self) -> Vec<String> {
        let name = |line: &str| Some(line.strip_prefix("name = \"")?.strip_suffix('"')?.to_owned());
        self.lock.lines().filter_map(name).collect()
    }
}
