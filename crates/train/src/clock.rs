//! How long training takes: on the wall, and in processors.

use std::time::Instant;

/// The time since a record.
pub(crate) struct Clock {
    wall: Instant,
    cpu: Option<f64>,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { wall: Instant::now(), cpu: process_seconds() }
    }

    /// Seconds on the wall. A process that is stopped, or a laptop that sleeps, counts.
    pub(crate) fn seconds(&self) -> f64 {
        self.wall.elapsed().as_secs_f64()
    }

    /// Seconds of all threads in processors, where the system tells; a pause or a busy machine doesn't count.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        Some((process_seconds()? - self.cpu?).max(0.0))
    }
}

#[cfg(unix)]
fn process_seconds() -> Option<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64)
}

#[cfg(not(unix))]
fn process_seconds() -> Option<f64> {
    None
}
