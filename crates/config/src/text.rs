//! The texts that settings come from: each can say where in it a key or value stands.

use looped_core::{Problem, Subject};
use toml::de::{DeTable, DeValue};

use crate::place::{Node, Place, after};
use crate::yaml;

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
