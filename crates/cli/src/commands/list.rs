//! `looped list`: the parts a config can name, and their keys.

use looped_config::{KeyHelp, part_keys};
use looped_core::{Kind, Part, nearest};
use serde_json::json;

use crate::args::{ListArgs, Listed};
use crate::failure::{Failure, Outcome};

/// Longer lines are broken.
const WIDTH: usize = 100;

pub(crate) fn list(args: &ListArgs) -> Outcome {
    let (kind, name) = match (&args.what, &args.name) {
        (Some(Listed::Kind(kind)), name) => (Some(Kind::from(*kind)), name.as_deref()),
        (Some(Listed::Type(name)), None) => (None, Some(name.as_str())),
        (Some(Listed::Type(word)), Some(_)) => {
            return Err(Failure::usage(format!("{word:?} is no kind; allowed: {}", kinds())));
        }
        (None, _) => (None, None),
    };
    let mut parts = Part::all();
    parts.retain(|part| kind.is_none_or(|kind| part.kind == kind));
    if let Some(name) = name {
        let found: Vec<_> = parts.iter().copied().filter(|part| part.tag == name).collect();
        parts = if found.is_empty() { return Err(unknown(kind, name, &parts)) } else { found };
    }
    if args.json {
        let parts: Vec<_> = parts.into_iter().map(described).collect();
        println!("{}", serde_json::to_string_pretty(&parts).map_err(Failure::failed)?);
    } else if name.is_some() {
        print!("{}", parts.into_iter().map(in_full).collect::<Vec<_>>().join("\n"));
    } else {
        print!("{}", line_each(&parts));
    }
    Ok(())
}

fn unknown(kind: Option<Kind>, name: &str, among: &[&Part]) -> Failure {
    let tags: Vec<&str> = among.iter().map(|part| part.tag).collect();
    let meant = nearest(name, tags.iter().copied());
    let meant = meant.map_or_else(String::new, |tag| format!("did you mean {tag}? "));
    let tags = tags.join(", ");
    Failure::usage(match kind {
        Some(kind) => format!("there is no {} called {name:?}; {meant}Known are {tags}", kind.name()),
        None => format!("{name:?} is no kind ({}) and no component; {meant}Known are {tags}", kinds()),
    })
}

fn kinds() -> String {
    Kind::ALL.map(Kind::plural).join(", ")
}

fn described(part: &Part) -> serde_json::Value {
    json!({
        "kind": part.kind.name(),
        "type": part.tag,
        "help": part.help(),
        "crate": part.source,
        "keys": part_keys(part),
    })
}

fn line_each(parts: &[&Part]) -> String {
    let width = parts.iter().map(|part| part.tag.len()).max().unwrap_or(0);
    let mut text = String::new();
    for kind in Kind::ALL {
        let mut of_kind = parts.iter().filter(|part| part.kind == kind).peekable();
        if of_kind.peek().is_some() {
            text += &format!("{}\n", kind.plural());
        }
        for part in of_kind {
            text += &entry(&format!("  {:width$}  ", part.tag), &part.help());
        }
    }
    text
}

/// A part with each of its keys.
fn in_full(part: &Part) -> String {
    let mut text = entry("", &part.help());
    let key = if part.kind.is_table() { "type" } else { "training.engine" };
    text += &format!("\n{key} = {:?}\n", part.tag);
    for KeyHelp { key, expected, default, required, help } in part_keys(part) {
        let default = match default {
            Some(value) => format!("; {value} if not given"),
            None if required => "; must be given".to_owned(),
            None => String::new(),
        };
        text += &entry(&format!("{key}: "), &format!("{help} ({expected}{default})"));
    }
    text
}

/// `head` with `body` beside it, broken into lines of equal beginning.
fn entry(head: &str, body: &str) -> String {
    let indent = head.chars().count();
    let mut lines = vec![head.to_owned()];
    for word in body.split_whitespace() {
        let line = lines.last_mut().map(|line| (line.chars().count(), line));
        match line {
            Some((width, line)) if width == indent || width + 1 + word.chars().count() <= WIDTH => {
                if width > indent {
                    line.push(' ');
                }
                line.push_str(word);
            }
            _ => lines.push(" ".repeat(indent) + word),
        }
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_help_is_broken_below_its_beginning() {
        let text = entry("  last_n  ", &"word ".repeat(40));
        assert!(text.lines().count() > 2 && text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("          word")), "{text}");
    }
}
