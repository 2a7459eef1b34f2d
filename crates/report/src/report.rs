//! A report: sections of text, figures and tables, written as one HTML file that opens offline, and as Markdown.

use crate::Error;
use crate::plot::Drawing;
use crate::table::Table;
use std::path::{Path, PathBuf};

/// A report with its sections.
///
/// ```
/// use looped_report::plot::Figure;
/// use looped_report::report::{Part, Report, Section};
///
/// let mut section = Section::new("Error over in-context examples");
/// section.parts.push(Part::Paragraph("Mean over 1280 prompts, 90 % CI shaded.".into()));
/// section.parts.push(Part::Plot {
///     name: "error".into(),
///     figure: Figure::new("", "in-context examples", "squared error / d").into(),
///     caption: "All variants.".into(),
/// });
/// let report = Report { title: "last n tokens".into(), sections: vec![section] };
/// assert!(report.html().contains("<svg"));
/// assert!(report.markdown().contains("(plots/error.png)\n\n*All variants.*"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The heading of the whole.
    pub title: String,
    /// In reading order.
    pub sections: Vec<Section>,
}

/// A heading and what stands below it.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// The section's heading.
    pub heading: String,
    /// In reading order.
    pub parts: Vec<Part>,
}

impl Section {
    /// A section with nothing below its heading yet.
    pub fn new(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), parts: Vec::new() }
    }
}

/// A piece of a section. Text is plain: it is escaped, and holds no markup of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Prose.
    Paragraph(String),
    /// A figure, in the HTML as a drawing, in the Markdown as a link to its PNG file.
    Plot {
        /// The stem of its file names, one of its own in the report. All but letters, digits, `-`, `_` and `.` is
        /// replaced by `_`.
        name: String,
        /// What is drawn.
        figure: Drawing,
        /// Below the figure.
        caption: String,
    },
    /// A table.
    Table(Table),
    /// Text to be kept as it is: a config, a command.
    Code(String),
}

/// Pixels of a PNG file to a unit of the figure: 288 dots an inch.
const PNG_SCALE: f32 = 3.0;

impl Report {
    /// Writes `report.html`, `report.md` and every figure as `plots/NAME.svg` and `plots/NAME.png` below `dir`.
    /// Each file is whole or absent: it is written beside its place and moved there. The reports come last.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        for part in self.sections.iter().flat_map(|section| &section.parts) {
            if let Part::Plot { name, figure, .. } = part {
                write_plot(&dir.join("plots"), name, figure)?;
            }
        }
        write_whole(&dir.join("report.md"), self.markdown().as_bytes())?;
        write_whole(&dir.join("report.html"), self.html().as_bytes())
    }
}

/// Writes `figure` into `folder`, which is made if it is not there, as `NAME.svg` and `NAME.png`.
fn write_plot(folder: &Path, name: &str, figure: &Drawing) -> Result<(), Error> {
    let stem = file_stem(name);
    write_whole(&folder.join(format!("{stem}.svg")), figure.svg().as_bytes())?;
    write_whole(&folder.join(format!("{stem}.png")), &figure.png(PNG_SCALE)?)
}

/// `name` as a file name that is the same on every system and needs no quoting in a link.
pub(crate) fn file_stem(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let stem: String = name.chars().map(plain).collect();
    if stem.trim_matches('.').is_empty() { "figure".into() } else { stem }
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::at(folder))?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = PathBuf::from(beside);
    std::fs::write(&beside, bytes).map_err(Error::at(&beside))?;
    std::fs::rename(&beside, path).map_err(Error::at(path))
}

#[cfg(test)]
mod tests;
