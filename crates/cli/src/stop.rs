//! Ctrl-C and SIGTERM: the first asks for a clean stop, the second ends the program at once. SIGPIPE: ends it quietly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Failure, Outcome};

/// Whether a signal has asked for a stop.
#[derive(Clone, Debug)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Starts to listen.
    pub(crate) fn listen() -> Outcome<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order the first signal only sets the flag, and the second finds it set.
            flag::register_conditional_shutdown(signal, 130, Arc::clone(&asked))
                .and_then(|_| flag::register(signal, Arc::clone(&asked)))
                .map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))?;
        }
        Ok(Self(asked))
    }

    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Ends the program, as the system means it, when nobody reads what it prints: `looped schema | head -1` is no failure. Rust
/// ignores the signal otherwise, and the next line printed would be a panic.
pub(crate) fn end_with_the_reader() {
    #[cfg(unix)]
    {
        let always = Arc::new(AtomicBool::new(true));
        // Where it can't be had, printing fails as it did.
        let _ = flag::register_conditional_default(signal_hook::consts::SIGPIPE, always);
    }
}
