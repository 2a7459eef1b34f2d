//! Event files that TensorBoard opens: scalars over steps, appended as a run goes.
//!
//! A file is a sequence of records (`record`), each holding one `Event` message (`event`). The first
//! event states the version; each later one holds the scalars of one step. Wall time is an argument everywhere, so
//! that a file is a function of what was written to it.

mod event;
mod record;

use crate::Error;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// What the name of every event file starts with.
const PREFIX: &str = "events.out.tfevents.";

/// Appends scalars to one event file.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use looped_report::tensorboard::EventWriter;
/// # let folder = tempfile::tempdir()?;
/// # let dir = folder.path();
/// let mut events = EventWriter::create(dir, 1_700_000_000.0)?;
/// events.scalars(1_700_000_001.5, 10, &[("loss", 0.25), ("learning_rate", 1e-4)])?;
/// events.flush()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventWriter {
    /// Starts a new file in `dir` (made if it is not there), named `events.out.tfevents.<seconds>.looped.<n>` with
    /// the first `n` that is free. `wall_time` is in seconds since 1970.
    pub fn create(dir: &Path, wall_time: f64) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(Error::at(dir))?;
        let mut n = 0_u32;
        loop {
            let path = dir.join(format!("{PREFIX}{:010}.looped.{n}", wall_time as u64));
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => return Self::start(path, file, wall_time),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => n += 1,
                Err(error) => return Err(Error::at(&path)(error)),
            }
        }
    }

    /// Appends to the file at `path`. A record that a crash left half-written at its end is dropped first;
    /// a file with no whole record is begun anew.
    pub fn append(path: &Path, wall_time: f64) -> Result<Self, Error> {
        let whole = truncate_after(path, u64::MAX)?;
        let file = OpenOptions::new().append(true).open(path).map_err(Error::at(path))?;
        if whole == 0 {
            return Self::start(path.to_owned(), file, wall_time);
        }
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// The file being written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds one event: the `values` of `step`, each under its tag.
    pub fn scalars(&mut self, wall_time: f64, step: u64, values: &[(&str, f32)]) -> Result<(), Error> {
        self.write(&event::scalars(wall_time, step, values))
    }

    /// Hands everything written so far to the operating system, so that a TensorBoard looking on sees it.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.file.flush().map_err(Error::at(&self.path))
    }

    fn start(path: PathBuf, file: File, wall_time: f64) -> Result<Self, Error> {
        let mut writer = Self { path, file: BufWriter::new(file) };
        writer.write(&event::version(wall_time))?;
        writer.flush()?;
        Ok(writer)
    }

    fn write(&mut self, event: &[u8]) -> Result<(), Error> {
        self.file.write_all(&record::frame(event)).map_err(Error::at(&self.path))
    }
}

/// The newest event file in `dir` by name, which begins with the time: the one that a resumed run appends to.
pub fn newest(dir: &Path) -> Result<Option<PathBuf>, Error> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(Error::at(dir))? {
        let name = entry.map_err(Error::at(dir))?.file_name();
        if name.to_string_lossy().starts_with(PREFIX) {
            found.push(name);
        }
    }
    Ok(found.into_iter().max().map(|name| dir.join(name)))
}

/// Cuts the file at `path` before the first event of a step later than `step`, as a run does that resumes from
/// there; returns the number of records kept. The steps of a file never fall, so nothing of an earlier step is lost.
///
/// A record that is torn or damaged ends the file too: what follows one cannot be trusted.
pub fn truncate_after(path: &Path, step: u64) -> Result<usize, Error> {
    let bytes = std::fs::read(path).map_err(Error::at(path))?;
    let (mut records, mut end) = (0, 0);
    for event in record::read(&bytes) {
        if event::step(event).is_none_or(|at| at > step) {
            break;
        }
        records += 1;
        end += event.len() + record::OVERHEAD;
    }
    if end < bytes.len() {
        let file = OpenOptions::new().write(true).open(path).map_err(Error::at(path))?;
        file.set_len(end as u64).and_then(|()| file.sync_all()).map_err(Error::at(path))?;
    }
    Ok(records)
}

#[cfg(test)]
mod tests;
