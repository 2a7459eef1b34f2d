//! Where in a text something stands, so that a message can point at it.

use std::ops::Range;

use looped_core::{Problem, Subject};
use toml::de::{DeTable, DeValue};

use crate::wording::key;
use crate::yaml;

/// Lines longer than this are not shown.
const LONGEST: usize = 400;

/// A part of one line of a file, or of a `key=value` argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1; 0 on the command line, which has none.
    pub line: usize,
    /// Where on the line the part begins, in characters from 1.
    pub column: usize,
    /// How many characters it has; 0 for a place between two characters.
    pub length: usize,
    /// The whole line, or the argument; empty if it is too long to be shown.
    pub text: String,
}

impl Place {
    /// The place of some bytes of a text; of several lines, the first counts.
    pub(crate) fn of(text: &str, bytes: Range<usize>) -> Self {
        let before = text.get(..bytes.start).unwrap_or(text);
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[begin..].split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let part = text.get(bytes).unwrap_or_default().split('\n').next().unwrap_or_default().trim_end();
        Self {
            line: before.matches('\n').count() + 1,
            column: before[begin..].chars().count() + 1,
            length: part.chars().count(),
            text: if line.len() > LONGEST { String::new() } else { line.to_owned() },
        }
    }
}

/// A text that settings come from.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    Toml(String),
    Yaml(String),
    Json(String),
    /// The `key=value` arguments, each with the path of its key.
    Arguments(Vec<(Vec<String>, String)>),
}

impl Text {
    /// The text of a file; arguments have none.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Toml(text) | Self::Yaml(text) | Self::Json(text) => text,
            Self::Arguments(_) => "",
        }
    }

    /// Where to look for a problem. Parses the text once more, this time for its positions; there is none if that fails.
    pub(crate) fn place(&self, problem: &Problem) -> Option<Place> {
        match self {
            // What is wrong with a file as a whole is wrong nowhere in it.
            _ if problem.path.is_empty() => None,
            Self::Toml(text) => Some(Place::of(text, of_toml(text)?.range(problem))),
            // JSON is YAML, too.
            Self::Yaml(text) | Self::Json(text) => {
                let characters = yaml::parse(text).ok()?.1.range(problem);
                let byte = |n| text.char_indices().nth(n).map_or(text.len(), |(at, _)| at);
                Some(Place::of(text, byte(characters.start)..byte(characters.end)))
            }
            Self::Arguments(arguments) => in_arguments(arguments, problem),
        }
    }
}

/// The last argument that set the problem's key, a table that it is in, or a key in it.
fn in_arguments(arguments: &[(Vec<String>, String)], problem: &Problem) -> Option<Place> {
    let holds = |outer: &str, inner: &str| after(inner, outer).is_some();
    let meant = |key: &str| holds(key, &problem.path) || holds(&problem.path, key);
    let (path, argument) = arguments.iter().rev().find(|(path, _)| meant(&path.join(".")))?;
    let value = argument.find('=').map_or(0, |at| at + 1);
    let is_key = problem.subject == Subject::Key && path.join(".") == problem.path;
    Some(Place { line: 0, ..Place::of(argument, if is_key { 0..value - 1 } else { value..argument.len() }) })
}

/// The keys and values of a table or list, and where each stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) key: Range<usize>,
    pub(crate) value: Range<usize>,
    /// Each under its key, or its index in a list.
    pub(crate) inner: Vec<(String, Node)>,
}

impl Node {
    /// The part of the text that a problem is about; where a key is missing, the name of the table that lacks it.
    fn range(&self, problem: &Problem) -> Range<usize> {
        let (mut node, mut rest) = (self, problem.path.as_str());
        while !rest.is_empty() {
            // A sweep's keys may be dotted paths themselves.
            let step = |name: &str| after(rest, &key(name)).or_else(|| after(rest, name));
            match node.inner.iter().find_map(|(name, inner)| Some((inner, step(name)?))) {
                Some(found) => (node, rest) = found,
                None if node.key.is_empty() => return node.value.start..node.value.start,
                None => return node.key.clone(),
            }
        }
        let of_key = problem.subject == Subject::Key && !node.key.is_empty();
        if of_key { node.key.clone() } else { node.value.clone() }
    }
}

/// What follows the first key of a dotted path, if that is `name`.
pub(crate) fn after<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(name)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
}

fn of_toml(text: &str) -> Option<Node> {
    let root = DeTable::parse(text).ok()?;
    Some(Node { inner: of_table(root.get_ref()), ..Node::default() })
}

fn of_table(table: &DeTable<'_>) -> Vec<(String, Node)> {
    let node = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| Node {
        key: key.span(),
        value: value.span(),
        inner: of_value(value.get_ref()),
    };
    table.iter().map(|(key, value)| (key.get_ref().to_string(), node((key, value)))).collect()
}

fn of_value(value: &DeValue<'_>) -> Vec<(String, Node)> {
    match value {
        DeValue::Table(table) => of_table(table),
        DeValue::Array(items) => {
            let node = |item: &toml::Spanned<DeValue<'_>>| Node {
                key: 0..0,
                value: item.span(),
                inner: of_value(item.get_ref()),
            };
            items.iter().enumerate().map(|(i, item)| (i.to_string(), node(item))).collect()
        }
        _ => Vec::new(),
    }
}
