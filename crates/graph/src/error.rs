//! What can be wrong with a block's code.

use std::panic::Location;

use crate::Shape;

/// The first mistake in what was recorded, with the place in the author's code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}\n  at {at}", prefix(.scope))]
pub struct TraceError {
    /// The part of the model that was being recorded, as in `h.0`; empty outside any.
    pub scope: String,
    /// What is wrong, with the operation and the shapes it got.
    pub what: String,
    /// File, line and column of the call.
    pub at: &'static Location<'static>,
}

fn prefix(scope: &str) -> String {
    if scope.is_empty() { String::new() } else { format!("{scope}: ") }
}

/// `a, b and c`, of shapes.
pub(crate) fn list(shapes: &[Shape]) -> String {
    let shown: Vec<String> = shapes.iter().map(ToString::to_string).collect();
    match shown.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
