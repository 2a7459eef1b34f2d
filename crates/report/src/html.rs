//! A report as one HTML file: drawings and style inside, no script, light or dark as the reader's system is.

use crate::escape::xml;
use crate::report::{Part, Report, Section};

const STYLE: &str = include_str!("report.css");

impl Report {
    /// The report as an HTML document that needs no other file. It is well-formed XML too.
    #[must_use]
    pub fn html(&self) -> String {
        let title = xml(&self.title);
        let contents: String =
            self.sections.iter().enumerate().map(|(i, section)| link(i, section)).collect();
        // Two sections are seen at a glance.
        let contents = if self.sections.len() > 2 {
            format!("<nav>\n<ol>\n{contents}</ol>\n</nav>\n")
        } else {
            String::new()
        };
        let sections: String =
            self.sections.iter().enumerate().map(|(i, section)| self::section(i, section)).collect();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>{title}</h1>\n{contents}{sections}</main>\n</body>\n</html>\n"
        )
    }
}

fn link(i: usize, section: &Section) -> String {
    format!("<li><a href=\"#section-{}\">{}</a></li>\n", i + 1, xml(&section.heading))
}

fn section(i: usize, section: &Section) -> String {
    let parts: String = section.parts.iter().map(part).collect();
    format!("<section id=\"section-{}\">\n<h2>{}</h2>\n{parts}</section>\n", i + 1, xml(&section.heading))
}

fn part(part: &Part) -> String {
    match part {
        Part::Paragraph(text) => format!("<p>{}</p>\n", xml(text)),
        Part::Plot { figure, caption, .. } => {
            let caption = if caption.is_empty() {
                String::new()
            } else {
                format!("<figcaption>{}</figcaption>\n", xml(caption))
            };
            format!("<figure>\n{}{caption}</figure>\n", figure.svg())
        }
        Part::Table(table) => format!("<div class=\"wide\">\n{}</div>\n", table.html()),
        Part::Code(text) => format!("<pre><code>{}</code></pre>\n", xml(text)),
    }
}
