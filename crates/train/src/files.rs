//! Writing that survives a crash: whole files or none, whole folders or none.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::error::At;

/// Writes a file so that its path holds either the old contents or all of the new.
///
/// # Errors
/// If a step fails; then the old contents stand.
pub fn write_atomically(path: &Path, contents: &[u8]) -> Result<()> {
    let temporary = sibling(path, "tmp");
    write_synced(&temporary, contents)?;
    fs::rename(&temporary, path).at("replace", path)?;
    sync_folder(parent(path))
}

/// As [`write_atomically`], for a file in a folder that is the user's: what else is there, and whatever it is called, stays.
///
/// # Errors
/// As `write_atomically`.
pub fn replace_file(path: &Path, contents: &[u8]) -> Result<()> {
    let folder = parent(path);
    let (mut file, temporary) = new_file(folder).at("create", path)?;
    let written = file.write_all(contents).and_then(|()| file.sync_all()).at("write", path);
    let replaced = written.and_then(|()| fs::rename(&temporary, path).at("replace", path));
    if replaced.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    replaced?;
    sync_folder(folder)
}

/// A new file in a folder, under a name that nothing has.
fn new_file(folder: &Path) -> std::io::Result<(File, PathBuf)> {
    let mut number = 0;
    loop {
        let path = folder.join(format!(".looped-{}-{number}.tmp", std::process::id()));
        match File::options().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            file => return Ok((file?, path)),
        }
    }
}

/// Writes a file and waits until the disk has it.
pub(crate) fn write_synced(path: &Path, contents: &[u8]) -> Result<()> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(contents)?;
        file.sync_all()
    });
    if written.is_err() {
        // What a full disk left half-written is of no use; that it can't be removed changes nothing.
        let _ = fs::remove_file(path);
    }
    Ok(written.at("write", path)?)
}

/// Waits until the disk has a folder's names.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    // Windows can't open a folder as a file, and makes renames durable by itself.
    if cfg!(unix) {
        File::open(path).and_then(|folder| folder.sync_all()).at("sync", path)?;
    }
    Ok(())
}

/// Removes a folder if it's there.
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => Ok(result.at("remove", path)?),
    }
}

/// Removes a folder if it's there, so that a crash on the way doesn't leave half of it under its name.
pub(crate) fn discard_folder(path: &Path) -> Result<()> {
    let doomed = sibling(path, "tmp");
    remove_folder(&doomed)?;
    match fs::rename(path, &doomed) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        result => result.at("remove", path)?,
    }
    remove_folder(&doomed)
}

/// `path` with `.suffix` added to its name.
pub(crate) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_users_file_is_replaced_and_its_neighbours_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.st");
        fs::write(&path, "old").unwrap();
        fs::write(folder.path().join("a.st.tmp"), "mine").unwrap();
        replace_file(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(folder.path().join("a.st.tmp")).unwrap(), b"mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_in_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let message = write_atomically(&folder.path().join("no/such/file"), b"x").unwrap_err().to_string();
        assert!(message.contains("no/such/file.tmp: cannot write"), "{message}");
    }
}
