//! Long work, in a thread of its own: the thread that called looks after signals and shows how far it is.
//!
//! Python delivers signals to its main thread alone, and only while that runs Python. So the work lets it be, and says what it does through
//! [`Talk`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use looped::Watch;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

/// From one look at the work to the next.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the work says, and what it is told.
#[derive(Default)]
pub(crate) struct Talk {
    stop: AtomicBool,
    said: Mutex<Said>,
}

/// How far the work is.
#[derive(Clone, Default)]
struct Said {
    /// What is done, as in `training`; empty before anything was said.
    doing: &'static str,
    done: usize,
    total: usize,
    /// More about it.
    text: String,
}

impl Talk {
    /// Says how much of something is done.
    pub(crate) fn say(&self, doing: &'static str, done: usize, total: usize) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.doing != doing {
            said.text.clear();
        }
        (said.doing, said.done, said.total) = (doing, done, total);
    }

    /// Says more about it.
    pub(crate) fn add(&self, text: String) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).text = text;
    }

    /// Calls `show` with how far the work is.
    fn show(&self, py: Python<'_>, show: &Py<PyAny>) -> PyResult<()> {
        let Said { doing, done, total, text } =
            self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !doing.is_empty() {
            show.call1(py, (doing, done, total, text))?;
        }
        Ok(())
    }
}

impl Watch for Talk {
    fn advanced(&self, done: usize, total: usize) {
        self.say("evaluating", done, total);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Does `job` while Python looks after signals, and `show` is called with what the job says, ten times a second.
///
/// The second value is the exception for which the job was asked to stop, if it was: Ctrl-C's, or what `show` raised.
pub(crate) fn away<T: Send>(
    py: Python<'_>,
    show: Option<&Py<PyAny>>,
    job: impl FnOnce(&Talk) -> T + Send,
) -> (T, Option<PyErr>) {
    let talk = Talk::default();
    py.detach(|| {
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            let talk = &talk;
            let worker = scope.spawn(move || {
                // Nobody is gone who waits for it.
                let _ = sender.send(job(talk));
            });
            let mut asked: Option<PyErr> = None;
            let done = loop {
                match receiver.recv_timeout(LOOK_EVERY) {
                    Ok(done) => break done,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => match worker.join() {
                        Err(panic) => std::panic::resume_unwind(panic),
                        Ok(()) => unreachable!("a job that ends has sent what it found"),
                    },
                }
                let looked = Python::attach(|py| {
                    py.check_signals()?;
                    show.map_or(Ok(()), |show| talk.show(py, show))
                });
                if let Err(error) = looked {
                    talk.stop.store(true, Ordering::Relaxed);
                    asked.get_or_insert(error);
                }
            };
            if let Some(show) = show {
                // The last of it; what it raises now comes too late to stop anything.
                let _ = Python::attach(|py| talk.show(py, show));
            }
            (done, asked)
        })
    })
}

/// An exception that stopped the work, with what became of it: of Ctrl-C it is the text, of another a note.
pub(crate) fn stopped(py: Python<'_>, by: Option<PyErr>, text: String) -> PyErr {
    match by {
        Some(error) if !error.is_instance_of::<PyKeyboardInterrupt>(py) => {
            let interrupt = PyKeyboardInterrupt::new_err(text);
            interrupt.set_cause(py, Some(error));
            interrupt
        }
        _ => PyKeyboardInterrupt::new_err(text),
    }
}
