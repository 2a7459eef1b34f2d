//! A part's name: its tag, its crate's name, and the name of its type.

use looped_core::{Kind, Part};

use crate::args::PartKind;
use crate::failure::{Failure, Outcome};
use crate::scaffold::templates::source;

/// Rust's words, those kept for later included.
const KEYWORDS: [&str; 52] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static",
    "struct", "super", "trait", "true", "try", "type", "typeof", "union", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// Crates that come with Rust, and folders that cargo keeps beside the binary.
const RESERVED: [&str; 10] =
    ["alloc", "build", "core", "deps", "examples", "incremental", "main", "proc_macro", "std", "test"];

/// A name that can be a tag, a crate and, in another case, a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    /// Checks `name` for a part of `kind`; `taken` are the crates that the new one will depend on.
    pub(crate) fn new(name: &str, kind: PartKind, taken: &[String]) -> Outcome<Self> {
        let refuse = |why: String| Err(Failure::usage(format!("NAME {name:?}: {why}")));
        let snake = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && !name.ends_with('_')
            && !name.contains("__");
        if !snake || name.len() > 64 {
            return refuse(
                "allowed: lower-case letters, digits and single _ between them, from a letter on, at most 64; \
                 as in moving_mean"
                    .to_owned(),
            );
        }
        if KEYWORDS.contains(&name) {
            return refuse("is a word of Rust's; choose another".to_owned());
        }
        if RESERVED.contains(&name) {
            return refuse("means something else to cargo; choose another".to_owned());
        }
        if let Some(part) = Part::find(kind.into(), name) {
            let kind = Kind::from(kind).name();
            return refuse(format!("is a {kind} already, of {}; choose another", part.source));
        }
        if taken.iter().any(|taken| taken.replace('-', "_") == name) {
            return refuse("is a crate that looped is built of; choose another".to_owned());
        }
        let name = Self(name.to_owned());
        let type_name = name.type_name();
        let mut words = source(kind).split(|c: char| !c.is_alphanumeric() && c != '_');
        if words.any(|word| word == type_name) {
            return refuse(format!(
                "its type would be {type_name}, which means something else; choose another"
            ));
        }
        Ok(name)
    }

    /// `moving_mean`.
    pub(crate) fn tag(&self) -> &str {
        &self.0
    }

    /// `MovingMean`.
    pub(crate) fn type_name(&self) -> String {
        let capitalised = |word: &str| {
            let mut letters = word.chars();
            letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect::<String>()
        };
        self.0.split('_').map(capitalised).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_tags_and_types_or_say_what_is_allowed() {
        let taken = ["looped-core".to_owned(), "serde".to_owned()];
        for (name, type_name) in [("moving_mean", "MovingMean"), ("gru2", "Gru2"), ("a_1", "A1")] {
            let made = Name::new(name, PartKind::Block, &taken).expect("a name");
            assert_eq!((made.tag(), made.type_name().as_str()), (name, type_name));
        }
        for (name, why) in [
            ("", "allowed:"),
            ("MovingMean", "allowed:"),
            ("moving-mean", "allowed:"),
            ("2d", "allowed:"),
            ("_x", "allowed:"),
            ("x_", "allowed:"),
            ("a__b", "allowed:"),
            ("größe", "allowed:"),
            ("../up", "allowed:"),
            ("loop", "word of Rust's"),
            ("gen", "word of Rust's"),
            ("std", "cargo"),
            ("deps", "cargo"),
            ("transformer", "is a block already, of looped-blocks"),
            ("looped_core", "is a crate"),
            ("serde", "is a crate"),
            ("value", "its type would be Value"),
            ("linear", "its type would be Linear"),
        ] {
            let Err(Failure::Usage(message)) = Name::new(name, PartKind::Block, &taken) else {
                panic!("{name:?} is let through")
            };
            assert!(message.contains(why) && message.starts_with(&format!("NAME {name:?}: ")), "{message}");
        }
        // Another kind's tags are free.
        assert!(Name::new("transformer", PartKind::Task, &taken).is_ok());
    }
}
