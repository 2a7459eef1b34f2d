//! A folder that is there as a whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Outcome};

/// Refuses a folder that holds something.
pub(crate) fn refuse_unless_free(folder: &Path) -> Outcome {
    let refused =
        |why: &str| Err(Failure::usage(format!("--out {}: {why}; choose another --out", folder.display())));
    match fs::read_dir(folder).map(|mut entries| entries.next()) {
        Ok(Some(_)) => refused("is not empty"),
        Err(_) if folder.exists() => refused("is not a folder"),
        _ => Ok(()),
    }
}

/// Fills a folder beside the place of `folder` and moves it there, in place of what may have been there.
pub(crate) fn publish(folder: &Path, fill: impl FnOnce(&Path) -> Outcome) -> Outcome {
    let beside = beside(folder);
    let failed = |error| Failure::failed(format!("{}: cannot be written: {error}", folder.display()));
    fs::create_dir_all(&beside).map_err(failed)?;
    let published = fill(&beside).and_then(|()| {
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(failed)?;
        }
        fs::rename(&beside, folder).map_err(failed)
    });
    if published.is_err() {
        // Half a report is of no use; that it can't be removed changes nothing.
        let _ = fs::remove_dir_all(&beside);
    }
    published
}

/// The folder's name with the process's number: nobody else's.
fn beside(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    folder.with_file_name(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test is a panic")]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_the_old_folder_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("deep/report");
        let fill = |text: &'static str| {
            move |place: &Path| fs::write(place.join("a"), text).map_err(Failure::failed)
        };
        publish(&folder, fill("1")).unwrap();
        let failed = publish(&folder, |place| {
            fill("2")(place)?;
            Err(Failure::Interrupted)
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), "1");
        assert_eq!(fs::read_dir(folder.parent().unwrap()).unwrap().count(), 1);
        assert!(refuse_unless_free(&folder).is_err() && refuse_unless_free(&folder.join("a")).is_err());
        assert!(refuse_unless_free(&place.path().join("new")).is_ok());
    }
}
