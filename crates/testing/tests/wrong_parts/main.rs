//! Each check passes a good part and fails a wrong one, by a message that says what is wrong and where.
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

mod blocks;
mod injectors;
mod operations;
mod others;

/// Runs a check that must fail, and asserts what its message says.
#[track_caller]
fn fails(check: impl FnOnce(), parts: &[&str]) {
    let failure =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).expect_err("the check passes");
    let message = failure
        .downcast_ref::<String>()
        .map_or_else(|| (*failure.downcast_ref::<&str>().expect("a message")).to_owned(), Clone::clone);
    for part in parts {
        assert!(message.contains(part), "expected {part:?} in: {message}");
    }
}
