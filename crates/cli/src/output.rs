//! What the program prints: results to stdout, everything else to stderr.
//!
//! The macros of the standard library panic where they can't write. Here they have other manners, and no file of this
//! crate can reach those: a log that is full or whose reader is gone never ends a training, and a result that can't be
//! printed is one message and exit code 1.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

use crate::failure::escaped;

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

/// Writes a line to stderr, as far as that is possible. What a file's name may hold to steer a terminal is shown instead.
pub(crate) fn note(text: Arguments<'_>) {
    let line = escaped(&text.to_string()) + "\n";
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}
