//! One table for the terminal, the browser and Markdown.

use crate::escape;
use unicode_width::UnicodeWidthStr;

/// Which side the cells of a column stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

/// The head of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What it says.
    pub name: String,
    /// Where it and the cells below it stand.
    pub align: Align,
}

impl Column {
    /// A column of words.
    pub fn left(name: impl Into<String>) -> Self {
        Self { name: name.into(), align: Align::Left }
    }

    /// A column of numbers.
    pub fn right(name: impl Into<String>) -> Self {
        Self { name: name.into(), align: Align::Right }
    }
}

/// Rows of text under named columns.
///
/// ```
/// use looped_report::table::{Column, Table};
/// let mut table = Table::new([Column::left("curve"), Column::right("10"), Column::right("20")]);
/// table.push(["looped", "0.519", "0.0242"]);
/// table.push(["least squares", "0.515", "0"]);
/// assert_eq!(table.text(), "\
/// curve             10      20
/// -------------  -----  ------
/// looped         0.519  0.0242
/// least squares  0.515       0
/// ");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row. Cells that are missing are empty; those beyond the last column are dropped.
    pub fn push<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let mut row: Vec<String> = cells.into_iter().map(Into::into).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// For a terminal: columns two spaces apart, a rule below their names.
    #[must_use]
    pub fn text(&self) -> String {
        let heads = self.columns.iter().map(|column| escape::one_line(&column.name)).collect();
        let mut lines: Vec<Vec<String>> = vec![heads];
        lines.extend(self.rows.iter().map(|row| row.iter().map(|cell| escape::one_line(cell)).collect()));
        let width = |i: usize| lines.iter().map(|line: &Vec<String>| line[i].width()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        lines.insert(1, widths.iter().map(|&width| "-".repeat(width)).collect());

        let mut out = String::new();
        for line in lines {
            let cells = line.iter().zip(&widths).zip(&self.columns);
            let padded = cells.map(|((cell, &width), column)| {
                let space = " ".repeat(width - cell.width());
                match column.align {
                    Align::Left => format!("{cell}{space}"),
                    Align::Right => format!("{space}{cell}"),
                }
            });
            out.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
            out.push('\n');
        }
        out
    }

    /// As an HTML element; cells of numbers have the class `number`.
    #[must_use]
    pub fn html(&self) -> String {
        let row = |cells: &mut dyn Iterator<Item = &String>, tag: &str| {
            let mut out = String::from("<tr>");
            for (cell, column) in cells.zip(&self.columns) {
                let class = if column.align == Align::Right { " class=\"number\"" } else { "" };
                out.push_str(&format!("<{tag}{class}>{}</{tag}>", escape::xml(cell)));
            }
            out + "</tr>\n"
        };
        let heads = row(&mut self.columns.iter().map(|column| &column.name), "th");
        let rows: String = self.rows.iter().map(|cells| row(&mut cells.iter(), "td")).collect();
        format!("<table>\n<thead>\n{heads}</thead>\n<tbody>\n{rows}</tbody>\n</table>\n")
    }

    /// As a Markdown table.
    #[must_use]
    pub fn markdown(&self) -> String {
        let row = |cells: &mut dyn Iterator<Item = String>| {
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let rule = |column: &Column| match column.align {
            Align::Left => "---".to_owned(),
            Align::Right => "---:".to_owned(),
        };
        let mut out = row(&mut self.columns.iter().map(|column| escape::markdown_inline(&column.name)));
        out.push_str(&row(&mut self.columns.iter().map(rule)));
        for cells in &self.rows {
            out.push_str(&row(&mut cells.iter().map(|cell| escape::markdown_inline(cell))));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([Column::left("variant"), Column::right("error")]);
        table.push(["a | b <i>", "0.5"]);
        table.push(["größer 東京", "12.25"]);
        table.push(["missing"]);
        table.push(["more", "1", "dropped"]);
        table
    }

    #[test]
    fn text_is_aligned_by_the_width_it_has_on_a_terminal() {
        let expected = "\
variant      error
-----------  -----
a | b <i>      0.5
größer 東京  12.25
missing
more             1
";
        assert_eq!(table().text(), expected);
    }

    #[test]
    fn html_is_escaped_and_marks_numbers() {
        let html = table().html();
        assert!(html.contains("<td>a | b &lt;i&gt;</td><td class=\"number\">0.5</td>"), "{html}");
        assert!(roxmltree::Document::parse(&html).is_ok());
        assert!(!html.contains("dropped"));
    }

    #[test]
    fn markdown_keeps_its_columns() {
        let markdown = table().markdown();
        let mut lines = markdown.lines();
        assert_eq!(lines.next(), Some("| variant | error |"));
        assert_eq!(lines.next(), Some("| --- | ---: |"));
        assert_eq!(lines.next(), Some(r"| a \| b \<i\> | 0.5 |"));
    }

    #[test]
    fn a_line_break_cannot_break_a_table() {
        let mut table = Table::new([Column::left("a")]);
        table.push(["two\nlines"]);
        assert_eq!(table.text(), "a\n---------\ntwo lines\n");
        assert!(table.markdown().ends_with("| two lines |\n"));
    }

    #[test]
    fn no_rows_or_no_columns_are_a_table_too() {
        assert_eq!(Table::new([Column::left("a")]).text(), "a\n-\n");
        assert_eq!(Table::new([]).text(), "\n\n");
        assert!(Table::new([]).is_empty());
    }
}
