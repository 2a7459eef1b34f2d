//! Refusing what would be killed for its memory, before it takes any.

use looped_train::{Target, available_memory};

use crate::failure::{Failure, Outcome};

/// Refuses work that needs more bytes than there are, and says what to `lower`.
pub(crate) fn refuse_what_does_not_fit(what: &str, needed: f64, device: &Target, lower: &str) -> Outcome {
    // What a GPU has is not known before it's asked for; it refuses by itself.
    let known = if device.is_cpu() { available_memory() } else { None };
    let available = known.map_or(f64::INFINITY, |bytes| bytes as f64);
    if needed <= available {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{what} about {:.1} GB of memory, and {:.1} GB are free here; lower {lower}",
        needed / 1e9,
        available / 1e9
    )))
}
