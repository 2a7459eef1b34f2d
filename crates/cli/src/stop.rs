//! Signals that ask for a stop: the first makes a training save and end, or an evaluation end; a later one ends the
//! program at once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

/// What a sweep sets for its runs.
pub(crate) const STOP_WITH_STDIN: &str = "LOOPED_STOP_WITH_STDIN";

/// The number of SIGTERM, as which the end of a sweep counts.
const SIGTERM: i32 = 15;

/// The first signal that asked, or 0.
static ASKED: AtomicI32 = AtomicI32::new(0);

/// Knows whether a signal has asked for a stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop(());

/// Why signals can't be heard.
#[derive(Debug)]
pub(crate) struct NotListening(pub(crate) String);

impl Stop {
    /// Starts to listen: to Ctrl-C, SIGTERM, SIGHUP (the terminal is gone) and SIGUSR1 (Slurm's `--signal`).
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn listen() -> Result<Self, NotListening> {
        static LISTENING: OnceLock<Result<(), String>> = OnceLock::new();
        let listening = LISTENING.get_or_init(|| {
            stop_with_the_sweep();
            listener::start().map_err(|error| error.to_string())
        });
        match listening {
            Ok(()) => Ok(Self(())),
            Err(error) => Err(NotListening(format!("cannot listen for signals: {error}"))),
        }
    }

    pub(crate) fn asked(self) -> bool {
        ASKED.load(Ordering::Relaxed) != 0
    }
}

/// A run that a sweep has started holds the end of a pipe as stdin. When the pipe ends, so has the sweep, however it was
/// killed: the run saves and stops, since nobody waits for it any more.
fn stop_with_the_sweep() {
    if std::env::var_os(STOP_WITH_STDIN).is_some() {
        std::thread::spawn(|| {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            eprintln!("the sweep that started this run is gone: stopping");
            let _ = ASKED.compare_exchange(0, SIGTERM, Ordering::Relaxed, Ordering::Relaxed);
        });
    }
}

/// Whether it was SIGUSR1 that asked, which Slurm sends before the time of a job is up.
pub(crate) fn asked_by_slurm() -> bool {
    /// Its number on Linux, where Slurm runs.
    const SIGUSR1: i32 = 10;
    ASKED.load(Ordering::Relaxed) == SIGUSR1
}

/// The exit code of a program that was stopped.
pub(crate) fn exit_code() -> u8 {
    let signal = ASKED.load(Ordering::Relaxed);
    // Asked by no signal: as for Ctrl-C.
    128 + if signal == 0 { 2 } else { u8::try_from(signal).unwrap_or(2) }
}

#[cfg(unix)]
mod listener {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::{Duration, Instant};

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level;

    use super::ASKED;

    const SIGNALS: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGUSR1];

    /// A second signal is meant only if it comes so long after the first: `timeout`, `scancel` and systemd send theirs
    /// to a process and again to its group, and the steps of an hour must not depend on that.
    const MEANT_AFTER: Duration = Duration::from_secs(2);

    pub(super) fn start() -> io::Result<()> {
        // A file that would be larger than `ulimit -f` allows is an error with a message, not the end.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        let mut signals = Signals::new(SIGNALS.into_iter().filter(|signal| !is_ignored(*signal)))?;
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let mut first: Option<Instant> = None;
            for signal in signals.forever() {
                let name = low_level::signal_name(signal).unwrap_or("signal");
                match first {
                    None => {
                        first = Some(Instant::now());
                        ASKED.store(signal, Ordering::Relaxed);
                        eprintln!(
                            "{name}: stopping; another signal after {} seconds ends the program at once",
                            MEANT_AFTER.as_secs()
                        );
                    }
                    Some(first) if first.elapsed() >= MEANT_AFTER => {
                        eprintln!("{name}: ended at once");
                        low_level::exit(128 + signal);
                    }
                    Some(_) => {}
                }
            }
        })?;
        Ok(())
    }

    /// Whether this program was started to ignore a signal, as `nohup` does with SIGHUP; only Linux tells.
    fn is_ignored(signal: i32) -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
    }
}

#[cfg(not(unix))]
mod listener {
    use std::io;

    /// Ctrl-C ends the program: what it has saved by then is whole.
    pub(super) fn start() -> io::Result<()> {
        Ok(())
    }
}
