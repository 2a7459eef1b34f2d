//! The folder of a sweep: the configs it was planned with, its runs, their logs, the report.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use looped_config::sweep::Sweep;
use looped_train::{At as _, has_no_locks, write_atomically};

use crate::comparison::refuse_unless_free;
use crate::sweep::Plan;
use crate::{Result, StudyError};

/// A sweep's folder, held by this process alone.
#[derive(Debug)]
pub struct SweepFolder {
    path: PathBuf,
    /// The system frees the lock when the process ends, however it ends.
    _lock: File,
}

impl SweepFolder {
    /// Makes the folder of a plan, or takes that of a sweep to be resumed, and writes every run's config.
    ///
    /// # Errors
    /// If the folder holds something else, another process works in it, or a file can't be written.
    pub fn take(plan: &Plan, sweep: &Sweep) -> Result<Self> {
        let path = &plan.out;
        let copy = copy_of(sweep, path);
        if !copy.is_file() && !is_left_over(path, &copy) {
            refuse_unless_free(path)?;
        }
        fs::create_dir_all(path).at("create", path)?;
        let folder = Self { path: path.clone(), _lock: lock(path)? };
        write_atomically(&copy, sweep.text.as_bytes())?;
        let configs = path.join("configs");
        fs::create_dir_all(&configs).at("create", &configs)?;
        for run in &plan.runs {
            write_atomically(&run.config, run.toml.as_bytes())?;
        }
        Ok(folder)
    }

    /// The folder of the comparison.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.path.join("report")
    }
}

/// Whether a folder holds nothing but what a sweep leaves that was killed before its file was copied.
fn is_left_over(folder: &Path, copy: &Path) -> bool {
    let mut half = copy.file_name().unwrap_or_default().to_owned();
    half.push(".tmp");
    let ours =
        |entry: fs::DirEntry| [".lock".as_ref(), half.as_os_str()].contains(&entry.file_name().as_os_str());
    fs::read_dir(folder).is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(ours)))
}

/// The copy of the sweep file, by which the folder is known again.
fn copy_of(sweep: &Sweep, folder: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from("sweep.");
    name.push(sweep.path.extension().unwrap_or("toml".as_ref()));
    folder.join(name)
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    let lock = File::create(&path).at("write", &path)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::Error(error)) if has_no_locks(&error) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(StudyError::Refused(format!("{} is in use by another looped sweep", folder.display())))
        }
        Err(TryLockError::Error(error)) => Ok(Err(error).at("lock", &path)?),
    }
}
