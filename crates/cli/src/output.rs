//! What the program prints: results to stdout, everything else to stderr.
//!
//! The macros of the standard library panic where they can't write. Here they have other manners, and no file of this
//! crate can reach those: a log that is full or whose reader is gone never ends a training, and a result that can't be
//! printed is one message and exit code 1.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::failure::{Failure, Outcome};
use crate::terminal;

/// Prints a line of a result.
macro_rules! println {
    () => { $crate::output::result(format_args!("\n")) };
    ($($part:tt)*) => { $crate::output::result(format_args!("{}\n", format_args!($($part)*))) };
}

/// Prints a part of a result.
macro_rules! print {
    ($($part:tt)*) => { $crate::output::result(format_args!($($part)*)) };
}

/// Prints a line of progress, advice or warning.
macro_rules! eprintln {
    ($($part:tt)*) => { $crate::output::note(format_args!($($part)*)) };
}

/// A path in JSON, which has no place for names that aren't UTF-8.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Prints a result in the form that was asked for.
pub(crate) fn answer(as_json: bool, json: &serde_json::Value, text: impl FnOnce() -> String) -> Outcome {
    if as_json {
        println!("{}", serde_json::to_string_pretty(json).map_err(Failure::failed)?);
    } else {
        println!("{}", text());
    }
    Ok(())
}

/// Writes to stdout. If nobody reads it any more the program ends as the system means it; if it can't be written, with a
/// message. By then all files are: results are printed last.
pub(crate) fn result(text: Arguments<'_>) {
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_fmt(text).and_then(|()| stdout.flush()) {
        unprinted(&error);
    }
}

/// Ends a program whose result can't be printed.
pub(crate) fn unprinted(error: &std::io::Error) -> ! {
    if error.kind() == ErrorKind::BrokenPipe {
        #[cfg(unix)]
        // As `looped schema | head -1` ends any other program. Where it can't be had, the code below says the same.
        let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGPIPE);
        std::process::exit(128 + 13);
    }
    note(format_args!("error: stdout: cannot write: {error}"));
    std::process::exit(1)
}

/// Writes a line to stderr, as far as that is possible.
pub(crate) fn note(text: Arguments<'_>) {
    terminal::say(&text.to_string());
}
