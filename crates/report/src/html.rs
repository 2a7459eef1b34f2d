//! A report as one HTML file: drawings, style and a small script inside, light or dark as the reader's system is.
//!
//! All that the report says is there without the script. With it, a pointer over a figure reads off values, a click on
//! an entry of a legend hides its curve, and the y axis can be switched between its scales.

use crate::escape::xml;
use crate::plot::{Drawing, rules_on_black};
use crate::report::{Part, Report, Section, file_stem};

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

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
        let dark = match rules_on_black(&sections) {
            rules if rules.is_empty() => rules,
            rules => format!("@media screen and (prefers-color-scheme: dark) {{\n{rules}}}\n"),
        };
        // CDATA, so that the script may hold what XML would take for markup; to HTML it is a comment of the script.
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <title>{title}</title>\n<style>\n{STYLE}{dark}</style>\n</head>\n<body>\n<main>\n\
             <h1>{title}</h1>\n{contents}{sections}</main>\n\
             <script>//<![CDATA[\n{SCRIPT}//]]></script>\n</body>\n</html>\n"
        )
    }
}

fn link(i: usize, section: &Section) -> String {
    format!("<li><a href=\"#section-{}\">{}</a></li>\n", i + 1, xml(&section.heading))
}

fn section(i: usize, section: &Section) -> String {
    // Figures that follow one another stand side by side where there is room.
    let is_plot = |part: &Part| matches!(part, Part::Plot { .. });
    let parts = section.parts.chunk_by(|a, b| is_plot(a) && is_plot(b));
    let parts = parts.map(|parts| match parts {
        [only] => part(only),
        plots => format!("<div class=\"plots\">\n{}</div>\n", plots.iter().map(part).collect::<String>()),
    });
    let parts: String = parts.collect();
    format!("<section id=\"section-{}\">\n<h2>{}</h2>\n{parts}</section>\n", i + 1, xml(&section.heading))
}

fn part(part: &Part) -> String {
    match part {
        Part::Paragraph(text) => format!("<p>{}</p>\n", xml(text)),
        Part::Plot { name, figure, caption } => plot(name, figure, caption),
        Part::Table(table) => format!("<div class=\"wide\">\n{}</div>\n", table.html()),
        Part::Code(text) => format!("<pre><code>{}</code></pre>\n", xml(text)),
    }
}

/// The drawing, its other scale where a script finds it, its caption and its numbers.
fn plot(name: &str, figure: &Drawing, caption: &str) -> String {
    let other = figure.on_the_other_scale();
    let other = other.map_or_else(String::new, |other| format!("<template>\n{}</template>\n", other.svg()));
    let caption = match caption {
        "" => String::new(),
        caption => format!("<figcaption>{}</figcaption>\n", xml(caption)),
    };
    let scale = match figure {
        Drawing::Curves(figure) => figure.y_scale.name(),
        Drawing::Heat(_) => "",
    };
    format!(
        "<figure data-name=\"{}\" data-scale=\"{scale}\">\n{}{other}{caption}\
         <details><summary>Data (CSV)</summary>\n<pre><code>{}</code></pre>\n</details>\n</figure>\n",
        file_stem(name),
        figure.svg(),
        xml(&figure.csv())
    )
}
