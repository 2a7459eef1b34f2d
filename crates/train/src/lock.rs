//! The lock of a run's directory: one process trains a run, and others can see that it does.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::Path;

use crate::error::At;
use crate::{Result, TrainError};

/// The file that is locked. It holds the number of the process that locked it last.
pub(crate) const LOCK: &str = ".lock";

/// Locks a directory for this process, until the file is dropped or the process ends, however it ends.
pub(crate) fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let mut file = File::options().create(true).truncate(false).write(true).open(&path).at("open", &path)?;
    match file.try_lock() {
        Err(TryLockError::Error(error)) if has_no_locks(&error) => Ok(file),
        Ok(()) => {
            let process = format!("{}\n", std::process::id());
            file.set_len(0).and_then(|()| file.write_all(process.as_bytes())).at("write", &path)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let process = fs::read_to_string(&path).unwrap_or_default();
            let process = match process.trim() {
                "" => String::new(),
                number => format!(" (process {number})"),
            };
            let message = format!("{} is in use by another looped process{process}", folder.display());
            Err(TrainError::Refused(message))
        }
        Err(TryLockError::Error(source)) => Ok(Err(source).at("lock", &path)?),
    }
}

/// Whether a lock couldn't be had since the file system knows none, as some that clusters share don't (Lustre without `flock`, NFS without its
/// lock service). There a user's own care keeps two processes out of one directory, and the leases of a sweep do.
#[must_use]
pub fn has_no_locks(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let code = Errno::from_io_error(error);
        code.is_some_and(|code| [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP].contains(&code))
    }
    #[cfg(not(unix))]
    {
        error.kind() == io::ErrorKind::Unsupported
    }
}

/// Whether a process holds the lock of a directory.
pub(crate) fn is_locked(folder: &Path) -> bool {
    // A shared lock: two that ask don't refuse each other.
    File::open(folder.join(LOCK))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_system_that_knows_no_locks_is_excused() {
        use rustix::io::Errno;
        for code in [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP] {
            assert!(has_no_locks(&code.into()), "{code}");
        }
        for code in [Errno::IO, Errno::ACCESS, Errno::STALE] {
            assert!(!has_no_locks(&code.into()), "{code}");
        }
    }
}
