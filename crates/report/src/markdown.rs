//! A report as Markdown, its figures as links to PNG files.

use crate::escape::{markdown, markdown_inline};
use crate::report::{Part, Report, file_stem};

impl Report {
    /// The report as Markdown. A figure is linked as `plots/NAME.png`, relative to the report,
    /// with its caption below.
    pub fn markdown(&self) -> String {
        let mut blocks = vec![format!("# {}\n", markdown_inline(&self.title))];
        for section in &self.sections {
            blocks.push(format!("## {}\n", markdown_inline(&section.heading)));
            blocks.extend(section.parts.iter().map(part));
        }
        blocks.join("\n")
    }
}

fn part(part: &Part) -> String {
    match part {
        Part::Paragraph(text) => markdown(text) + "\n",
        Part::Plot { name, figure, caption } => {
            let shown = markdown_inline(&figure.words());
            let image = format!("![{shown}](plots/{}.png)\n", file_stem(name));
            match caption.trim() {
                "" => image,
                caption => format!("{image}\n*{}*\n", markdown_inline(caption)),
            }
        }
        Part::Table(table) => table.markdown(),
        Part::Code(text) => fenced(text),
    }
}

/// `text` between fences longer than any run of backticks in it.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}\n{}\n{fence}\n", text.trim_end_matches('\n'))
}
