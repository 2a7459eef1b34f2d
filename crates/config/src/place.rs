//! Where in a text something stands, so that a message can point at it.

use std::ops::Range;

use looped_core::{Problem, Subject};

use crate::wording::key;

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

/// A mistake in a file's format, and where it is if the parser says so.
#[derive(Debug)]
pub(crate) struct Malformed {
    pub(crate) message: String,
    pub(crate) place: Option<Place>,
}

impl From<String> for Malformed {
    fn from(message: String) -> Self {
        Self { message, place: None }
    }
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
    pub(crate) fn range(&self, problem: &Problem) -> Range<usize> {
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
