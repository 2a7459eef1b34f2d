//! How messages look: errors, warnings and notes with their colours, and mistakes in files with the line they are in.
//!
//! Colours are for terminals: `anstream` takes them out where stderr is none, where `NO_COLOR` is set, and as `--color`
//! says. What can't be written is lost without a word: a full disk under a log is no reason to lose a training.

use std::ffi::OsString;
use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};
use clap::{ColorChoice, ValueEnum};
use looped_config::{ConfigError, Place};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const FRAME: Style = AnsiColor::Blue.on_default().bold();

/// The words that messages begin with.
const TITLES: [(&str, Style); 3] = [
    ("error:", ERROR),
    ("warning:", AnsiColor::Yellow.on_default().bold()),
    ("note:", AnsiColor::Cyan.on_default().bold()),
];

static QUIET: AtomicBool = AtomicBool::new(false);

/// What `--color` says. Messages about the arguments themselves go by it too, so it is read before all others.
pub(crate) fn color_in(arguments: impl Iterator<Item = OsString>) -> ColorChoice {
    let mut words = arguments.map(|word| word.to_string_lossy().into_owned()).take_while(|word| word != "--");
    while let Some(word) = words.next() {
        let value = match word.strip_prefix("--color") {
            Some("") => words.next(),
            Some(value) => value.strip_prefix('=').map(str::to_owned),
            None => None,
        };
        if let Some(choice) = value.and_then(|value| ColorChoice::from_str(&value, false).ok()) {
            return choice;
        }
    }
    ColorChoice::Auto
}

/// Settles how much is said, and whether in colour.
pub(crate) fn set(color: ColorChoice, quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
    match color {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

/// Whether only results, warnings and errors are wanted.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Says a line on stderr. Of quiet programs, only errors and warnings are heard.
pub(crate) fn say(line: &str) {
    if !is_quiet() || line.starts_with("error:") || line.starts_with("warning:") {
        write(&titled(line));
    }
}

/// Says everything that is wrong with a config.
pub(crate) fn say_config_error(error: &ConfigError) {
    write(&config_error(error));
}

fn write(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Text without control characters, its first word in colour if that says what it is.
fn titled(text: &str) -> String {
    let title = TITLES.iter().find_map(|(title, style)| Some((title, style, text.strip_prefix(title)?)));
    match title {
        Some((title, style, rest)) => format!("{style}{title}{style:#}{}", escaped(rest)),
        None => escaped(text),
    }
}

/// Text without control characters, which can steer a terminal: `\u{1b}` for the escape. Lines stay lines.
fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

/// Every finding, and below it the line that it is about.
fn config_error(error: &ConfigError) -> String {
    match error {
        ConfigError::File { place, .. } => entry(error, place.as_ref()),
        ConfigError::Override(_) => entry(error, None),
        ConfigError::Invalid(findings) => {
            let entries = findings.iter().enumerate().map(|(i, finding)| {
                // Of several findings at one place, the last shows it.
                let next = findings.get(i + 1).filter(|next| next.source == finding.source);
                let again = next.is_some_and(|next| next.place == finding.place);
                entry(finding, finding.place.as_ref().filter(|_| !again))
            });
            entries.collect::<Vec<_>>().join("\n")
        }
    }
}

fn entry(what: impl Display, place: Option<&Place>) -> String {
    let mut text = titled(&format!("error: {what}"));
    if let Some(place) = place.filter(|place| !place.text.is_empty()) {
        text.push('\n');
        text.push_str(&snippet(place));
    }
    text
}

/// The line, with its number before it and a mark below what is meant.
fn snippet(place: &Place) -> String {
    let number = if place.line == 0 { String::new() } else { place.line.to_string() };
    let margin = " ".repeat(number.len());
    let shown: Vec<String> = place.text.chars().map(visible).collect();
    let width = |part: &[String]| part.iter().map(|c| c.width()).sum::<usize>();
    let begin = (place.column - 1).min(shown.len());
    let end = (begin + place.length).min(shown.len());
    let (before, below) = (width(&shown[..begin]), width(&shown[begin..end]).max(1));
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = writeln!(text, "{FRAME}{margin} |{FRAME:#}");
    let _ = writeln!(text, "{FRAME}{number} |{FRAME:#} {}", shown.concat().trim_end());
    let marks = "^".repeat(below);
    let _ = write!(text, "{FRAME}{margin} |{FRAME:#} {}{ERROR}{marks}{ERROR:#}", " ".repeat(before));
    text
}

/// A character as a line of a terminal can show it.
fn visible(c: char) -> String {
    match c {
        '\t' => "    ".to_owned(),
        c if c.is_control() || c.width().is_none() => '\u{fffd}'.to_string(),
        c => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_snippet_marks_what_is_meant_under_tabs_and_wide_characters() {
        let place = |column, length, text: &str| Place { line: 12, column, length, text: text.to_owned() };
        assert_eq!(
            plain(&snippet(&place(10, 6, "n_embd = \"wide\""))),
            "   |\n12 | n_embd = \"wide\"\n   |          ^^^^^^"
        );
        assert_eq!(plain(&snippet(&place(2, 1, "\tx"))), "   |\n12 |     x\n   |     ^");
        assert_eq!(plain(&snippet(&place(7, 1, "\"名\" = 3"))), "   |\n12 | \"名\" = 3\n   |        ^");
        // Past the end, as where a file stops too early.
        assert_eq!(plain(&snippet(&place(9, 4, "a = ["))), "   |\n12 | a = [\n   |      ^");
    }

    #[test]
    fn what_steers_a_terminal_is_shown_instead() {
        assert_eq!(escaped("a\u{1b}]0;x\u{7}.toml:\n  größer"), "a\\u{1b}]0;x\\u{7}.toml:\n  größer");
    }

    #[test]
    fn a_message_has_its_title_in_colour_and_no_other_escapes() {
        let told = titled("warning: a\u{1b}[2J.toml");
        assert_eq!(plain(&told), "warning: a\\u{1b}[2J.toml");
        assert!(told.starts_with("\u{1b}["), "{told:?}");
        assert_eq!(titled("step 3 of 5"), "step 3 of 5");
    }
}
