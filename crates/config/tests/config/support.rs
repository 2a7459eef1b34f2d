//! A folder of files, and what loading one of them says.

use std::path::Path;

use looped_config::{Loaded, load};
use tempfile::TempDir;

/// A complete experiment.
pub(crate) const GOOD: &str = r#"
name = "good"
seed = 7

[task]
type = "linear_regression"

[model]
n_dims = 4
n_positions = 11
n_embd = 16
n_layer = 1

[model.block]
type = "transformer"
n_head = 2

[model.injector]
type = "last_n"
n = 6
operation = "multiply"

[training]
batch_size = 8
learning_rate = 1e-3
train_steps = 100
n_loop_window = 3

[training.curriculum]
dims = { start = 2, end = 4, inc = 1, interval = 10 }
points = { start = 5, end = 11, inc = 2, interval = 10 }
loops = { start = 2, end = 6, inc = 1, interval = 10 }
"#;

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn load(&self, name: &str, overrides: &[&str]) -> Result<Loaded, String> {
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        load(self.path().join(name), &overrides).map_err(|error| self.relative(&error.to_string()))
    }

    /// The resolved TOML.
    pub(crate) fn resolved(&self, name: &str, overrides: &[&str]) -> toml::Table {
        let text = self.load(name, overrides).unwrap().experiment.to_toml().unwrap();
        self.relative(&text).parse().unwrap()
    }

    pub(crate) fn error(&self, name: &str, overrides: &[&str]) -> String {
        self.load(name, overrides).map(|loaded| loaded.experiment.to_toml()).unwrap_err()
    }

    /// Without the folder's own name, which is another every time.
    pub(crate) fn relative(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.path().display()), "")
    }
}

/// What is said of `GOOD` with the first line that starts like `line` replaced by it.
pub(crate) fn error_with(line: &str) -> String {
    let key = line.split_once('=').unwrap().0;
    let text: String = GOOD
        .lines()
        .map(|old| if old.starts_with(key) { format!("{line}\n") } else { format!("{old}\n") })
        .collect();
    Folder::with(&[("exp.toml", &text)]).error("exp.toml", &[])
}

/// What is said of `GOOD` with overrides.
pub(crate) fn error_of(overrides: &[&str]) -> String {
    Folder::with(&[("exp.toml", GOOD)]).error("exp.toml", overrides)
}
