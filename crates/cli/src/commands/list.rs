//! `looped list`: the parts a config can name.

use looped_core::{Kind, Part};

use crate::args::ListArgs;
use crate::failure::Outcome;

pub(crate) fn list(args: &ListArgs) -> Outcome {
    let asked = args.kind.as_deref().and_then(|kind| Kind::from_name(kind.trim_end_matches('s')));
    let parts: Vec<&Part> =
        Part::all().into_iter().filter(|part| asked.is_none_or(|kind| part.kind == kind)).collect();
    let width = parts.iter().map(|part| part.tag.len()).max().unwrap_or(0);
    for kind in Kind::ALL {
        let mut of_kind = parts.iter().filter(|part| part.kind == kind).peekable();
        if of_kind.peek().is_some() {
            println!("{}s", kind.name());
        }
        for part in of_kind {
            println!("  {:width$}  {}", part.tag, part.help());
        }
    }
    Ok(())
}
