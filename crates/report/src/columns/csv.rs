//! CSV as RFC 4180 has it, but with the line ends of the system's own text files.

use super::{Column, Values, rows};

/// A table as CSV with a header. Numbers have as many digits as it takes to read the same ones again; a missing one is empty, and one that
/// isn't finite `NaN`, `inf` or `-inf`.
#[must_use]
pub fn csv(columns: &[Column]) -> String {
    let mut text = String::new();
    line(&mut text, columns.iter().map(|column| column.name.clone()));
    for row in 0..rows(columns) {
        line(&mut text, columns.iter().map(|column| cell(&column.values, row)));
    }
    text
}

fn line(text: &mut String, cells: impl Iterator<Item = String>) {
    for (i, cell) in cells.enumerate() {
        if i > 0 {
            text.push(',');
        }
        if cell.contains(['"', ',', '\n', '\r']) {
            text.push('"');
            text.push_str(&cell.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(&cell);
        }
    }
    text.push('\n');
}

fn cell(values: &Values, row: usize) -> String {
    match values {
        Values::Text(values) => values[row].clone(),
        Values::Whole(values) => values[row].to_string(),
        // Unlike `{}`, this writes powers of ten.
        Values::Real(values) => values[row].map_or(String::new(), |value| format!("{value:?}")),
    }
}
