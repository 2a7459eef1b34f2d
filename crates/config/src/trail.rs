//! The files that lead to one another by `extends` or `inherit`.

use std::path::{Path, PathBuf};

use crate::read::Read;
use crate::{ConfigError, read};

/// More than any experiment is made of; a list of files that name each other twice over would double at every level.
const MOST: usize = 200;

/// The files from the one asked for to the present one.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    files: Vec<PathBuf>,
    read: usize,
}

impl Trail {
    /// Reads `path`, to which the last file of the trail led by `key`, and sets it at the trail's end.
    pub(crate) fn enter(&mut self, path: &Path, key: &str) -> Result<Read, ConfigError> {
        let led = |message: String| match self.files.last() {
            Some(file) => ConfigError::file(file.display(), format!("{key}: {message}")),
            None => ConfigError::file(path.display(), message),
        };
        let known = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if self.files.iter().any(|file| known(file) == known(path)) {
            let ring = self.files.iter().map(PathBuf::as_path).chain([path]);
            let ring: Vec<String> = ring.map(|file| file.display().to_string()).collect();
            return Err(led(format!("is circular: {}", ring.join(" -> "))));
        }
        self.read += 1;
        if self.read > MOST {
            return Err(led(format!("leads to more than {MOST} files")));
        }
        let read = read::read(path).map_err(|error| match (error, self.files.last()) {
            (ConfigError::File { file, message, place: None }, Some(_)) => led(format!("{file} {message}")),
            (error, _) => error,
        })?;
        self.files.push(path.to_owned());
        Ok(read)
    }

    /// Takes the last file off the trail.
    pub(crate) fn leave(&mut self) {
        self.files.pop();
    }
}

/// `name`, seen from the folder of `file`.
pub(crate) fn sibling(file: &Path, name: &str) -> PathBuf {
    folder(file).join(name)
}

/// The folder that a file stands in.
pub(crate) fn folder(file: &Path) -> &Path {
    file.parent().unwrap_or_else(|| Path::new(""))
}
