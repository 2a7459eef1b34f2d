//! What the laboratory found of a run: a section of its report for each file in `lab/`.

mod exits;
mod matching;
mod stability;

use std::path::PathBuf;

use looped_lab::{Found, Kept};
use looped_report::report::{Part, Section};
use looped_train::{At as _, RunDir, write_atomically};

use super::read;
use crate::Result;
use crate::name::refuse_bad_name;

/// What a command of the laboratory prints: tables for a terminal.
#[must_use]
pub fn tables(found: &Found) -> String {
    match found {
        Found::Exits(found) => exits::tables(found),
        Found::Match(found) => matching::tables(found),
        Found::Stability(found) => stability::tables(found),
    }
}

/// Keeps what was found as `lab/NAME.json` in a run's directory.
///
/// # Errors
/// If the name isn't one for a file, or a file can't be written.
pub fn save_found(found: &Kept, run: &RunDir, name: &str) -> Result<PathBuf> {
    refuse_bad_name(name, "a result")?;
    let folder = run.lab();
    std::fs::create_dir_all(&folder).at("create", &folder)?;
    let file = folder.join(format!("{name}.json"));
    write_atomically(&file, serde_json::to_string_pretty(found)?.as_bytes())?;
    Ok(file)
}

/// A section for each result, by their names.
pub(super) fn sections(run: &RunDir) -> Result<Vec<Section>> {
    let folder = run.lab();
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.at("read", &folder)?,
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut sections = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(kept) = read::<Kept>(&file)? {
            sections.push(section(&name, &kept));
        }
    }
    Ok(sections)
}

fn section(name: &str, Kept { trained_steps, found }: &Kept) -> Section {
    let Section { heading, mut parts } = match found {
        Found::Exits(found) => exits::section(name, found),
        Found::Match(found) => matching::section(name, found),
        Found::Stability(found) => stability::section(name, found),
    };
    // A run may have been trained longer since.
    parts.insert(0, Part::Paragraph(format!("Of the model after {trained_steps} training steps.")));
    parts.push(Part::Code(tables(found)));
    let heading = if name == found.kind() { heading } else { format!("{heading} ({name})") };
    Section { heading, parts }
}
