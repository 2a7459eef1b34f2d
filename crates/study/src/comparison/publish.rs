//! Reports in folders: whole, and beside what else is there.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use looped_train::At as _;

use crate::{Result, StudyError};

/// In a report's folder: the files that are its own, a line each. The next report replaces these and no others.
const OWN_FILES: &str = ".files";

/// In a report's folder: where the next one is made.
const STAGING: &str = ".next";

/// Refuses a folder that holds something.
///
/// # Errors
/// If `folder` isn't free.
pub fn refuse_unless_free(folder: &Path) -> Result<()> {
    let refused = |why: &str| {
        Err(StudyError::Refused(format!("--out {}: {why}; choose another --out", folder.display())))
    };
    match fs::read_dir(folder) {
        Ok(entries) => {
            // What a process leaves here that was killed before there was a report.
            let left_over = |entry: &fs::DirEntry| entry.file_name() == STAGING;
            let mut others = entries.filter(|entry| !entry.as_ref().is_ok_and(left_over));
            if others.next().is_some() { refused("is not empty") } else { Ok(()) }
        }
        Err(_) if folder.is_dir() => refused("cannot be read"),
        Err(_) if folder.exists() => refused("is not a folder"),
        Err(_) if folder.is_symlink() => refused("is a link that leads nowhere"),
        Err(_) => Ok(()),
    }
}

/// Fills a new folder beside the place of `folder` and moves it there; it is there as a whole or not at all. Where
/// `folder` is already, the files are moved into it one by one, `report.html` last: each is whole, those of an earlier
/// report that are no longer made go, and all others stay.
pub(super) fn publish(folder: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if !folder.is_dir() {
        let staging = Staging::take(beside(folder))?;
        fill(&staging.path)?;
        write_list(&staging.path)?;
        return match fs::rename(&staging.path, folder) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                Err(StudyError::Refused(format!(
                    "--out {}: another process has put something there meanwhile; choose another --out",
                    folder.display()
                )))
            }
            renamed => Ok(renamed.at("write", folder)?),
        };
    }
    let staging = Staging::take(folder.join(STAGING))?;
    fill(&staging.path)?;
    let mut files = files_below(&staging.path).at("write", folder)?;
    files.sort_by_key(|file| (file.as_path() == Path::new("report.html"), file.clone()));
    let old = fs::read_to_string(folder.join(OWN_FILES)).unwrap_or_default();
    write_list(&staging.path)?;
    for file in files.iter().map(PathBuf::as_path).chain([Path::new(OWN_FILES)]) {
        let place = folder.join(file);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).at("write", folder)?;
        }
        fs::rename(staging.path.join(file), place).at("write", folder)?;
    }
    for gone in old.lines().map(PathBuf::from).filter(|old| !files.contains(old)) {
        // Written by an earlier report; that it can't be removed changes nothing.
        let _ = fs::remove_file(folder.join(gone));
    }
    Ok(())
}

/// A folder that is being filled, by this process alone. It is removed when it goes out of scope.
struct Staging {
    path: PathBuf,
    /// The system frees the lock when the process ends, however it ends.
    _lock: Option<File>,
}

impl Staging {
    /// Makes the folder, in place of what a killed process has left there.
    fn take(path: PathBuf) -> Result<Self> {
        fs::create_dir_all(&path).at("write", &path)?;
        // Where a folder can't be locked, as on some network disks, two processes at once are not told apart.
        let lock = File::open(&path).ok();
        if lock.as_ref().is_some_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock))) {
            return Err(StudyError::Refused(format!(
                "{}: another looped process is writing here",
                path.display()
            )));
        }
        for entry in fs::read_dir(&path).at("write", &path)? {
            let left = entry.at("write", &path)?.path();
            if left.is_dir() { fs::remove_dir_all(left) } else { fs::remove_file(left) }
                .at("write", &path)?;
        }
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // After a report is moved to its place there is nothing left; half a report is of no use.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// `folder` with `.next` added to its name.
fn beside(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(STAGING);
    folder.with_file_name(name)
}

/// Leaves the list of a report's own files.
fn write_list(folder: &Path) -> Result<()> {
    let mut files = files_below(folder).at("write", folder)?;
    files.sort();
    let lines: String = files.iter().map(|file| format!("{}\n", file.display())).collect();
    Ok(fs::write(folder.join(OWN_FILES), lines).at("write", folder)?)
}

/// All files below a folder, by their paths from there.
fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = PathBuf::from(entry.file_name());
        if entry.file_type()?.is_dir() {
            found.extend(files_below(&entry.path())?.into_iter().map(|file| name.join(file)));
        } else {
            found.push(name);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(files: &'static [&'static str], text: &'static str) -> impl Fn(&Path) -> Result<()> {
        move |place: &Path| {
            for file in files {
                let path = place.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Ok(())
        }
    }

    #[test]
    fn a_failure_leaves_the_old_folder_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("deep/report");
        fs::create_dir(place.path().join("deep")).unwrap();
        publish(&folder, fill(&["a"], "1")).unwrap();
        let failed = publish(&folder, |place| {
            fill(&["a"], "2")(place)?;
            Err(StudyError::Refused("no".to_owned()))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), "1");
        assert_eq!(fs::read_dir(folder.parent().unwrap()).unwrap().count(), 1);
        assert!(refuse_unless_free(&folder).is_err() && refuse_unless_free(&folder.join("a")).is_err());
        assert!(refuse_unless_free(&place.path().join("new")).is_ok());
    }

    #[test]
    fn what_others_put_into_a_report_stays_and_what_it_no_longer_makes_goes() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("report");
        publish(&folder, fill(&["report.html", "plots/old.svg"], "1")).unwrap();
        fs::write(folder.join("NOTES.txt"), "mine").unwrap();
        fs::write(folder.join("plots/mine.svg"), "mine").unwrap();
        publish(&folder, fill(&["report.html", "plots/new.svg"], "2")).unwrap();
        let mut files = files_below(&folder).unwrap();
        files.sort();
        let expected = [".files", "NOTES.txt", "plots/mine.svg", "plots/new.svg", "report.html"];
        assert_eq!(files, expected.map(PathBuf::from));
        assert_eq!(fs::read_to_string(folder.join("report.html")).unwrap(), "2");
    }

    #[test]
    fn what_a_killed_process_left_is_cleared_away() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("report");
        fs::create_dir_all(folder.join(".next/plots")).unwrap();
        fs::create_dir_all(place.path().join("report.next")).unwrap();
        fs::write(folder.join(".next/half"), "").unwrap();
        assert!(refuse_unless_free(&folder).is_ok());
        publish(&folder, fill(&["a"], "1")).unwrap();
        assert!(!folder.join(".next").exists() && !folder.join("half").exists());
    }

    #[test]
    fn of_two_processes_one_writes_and_the_other_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("report");
        publish(&folder, |_| {
            assert!(publish(&folder, fill(&["a"], "2")).is_err());
            Ok(())
        })
        .unwrap();
        // Another has come first with a folder of the same name.
        let late = publish(&place.path().join("late"), |_| {
            fs::create_dir(place.path().join("late")).unwrap();
            fill(&["theirs"], "1")(&place.path().join("late"))
        });
        assert!(late.unwrap_err().to_string().contains("meanwhile"));
        assert!(place.path().join("late/theirs").exists());
    }
}
