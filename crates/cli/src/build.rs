//! Which program this is.

use looped_train::Build;

/// As `looped --version` says it: the version and, where it is known, the commit.
pub(crate) const VERSION: &str = env!("LOOPED_BUILD_VERSION");

/// The same for `run.json`.
#[must_use]
pub fn build() -> Build {
    let commit = env!("LOOPED_BUILD_COMMIT");
    Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: if commit.is_empty() { "unknown".to_owned() } else { commit.to_owned() },
        dirty: env!("LOOPED_BUILD_DIRTY").parse().ok(),
    }
}
